import subprocess
import sys


def test_importing_the_cloud_part_imports_no_openstack():
    modules = "deploymachine.cloud, deploymachine.openstack_compute, deploymachine.cli"
    code = f"import sys, {modules}; print([name for name in sys.modules if name.split('.')[0].startswith('openstack')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_fab_list_needs_is_little(tmp_path):
    """Every one of these costs tens of milliseconds, at each command."""
    heavy = ("openstack", "keystoneauth1", "requests", "pydantic", "rich", "jinja2", "tarfile")
    (tmp_path / "settings.py").write_text("OPENSTACK_SERVERS = {'appnode': [('appnode1', 'm1.small')]}\n")
    code = f"""
import sys
from deploymachine.tasks import namespace
found = namespace({str(tmp_path / "fabfile.py")!r})
assert "server:appnode1" in found.task_names, list(found.task_names)
print([name for name in {heavy!r} if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
