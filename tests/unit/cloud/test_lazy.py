import subprocess
import sys


def test_importing_the_cloud_part_imports_no_openstack():
    modules = "deploymachine.cloud, deploymachine.openstack_compute, deploymachine.cli"
    code = f"import sys, {modules}; print([name for name in sys.modules if name.split('.')[0].startswith('openstack')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
