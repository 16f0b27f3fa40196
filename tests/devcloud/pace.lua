-- wrk asks as fast as it can unless it is told how many milliseconds each connection waits before its next request
function delay()
    return 100
end
