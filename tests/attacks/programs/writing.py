"""Attacks on the host's files: what a job writes is to be gone with it."""

import os
import shutil
import sys


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)
    return path


def write_to_the_folder_of_the_host(job):
    return write(os.path.join(job["folder"], job["token"]), job["token"])


def write_through_roots(job):
    """Through the root of every process it sees."""
    problem = None
    for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
        try:
            return write(
                os.path.join("/proc", pid, "root") + f"{job['folder']}/{job['token']}", job["token"]
            )
        except OSError as error:
            problem = error
    raise problem


def write_through_a_link(job):
    link = os.path.join(job.room(), f"{job['token']}.link")
    os.symlink(os.path.join(job["folder"], job["token"]), link)
    return write(link, job["token"])


def write_through_an_open_folder(job):
    """A descriptor of a folder above, from which it is only downwards."""
    fd = os.open("/", os.O_PATH)
    file = os.open(f".{job['folder']}/{job['token']}", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(file)
    return "written"


def write_to_temporary_folders(job):
    """They are everybody's on the host."""
    done, problem = [], None
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        try:
            done.append(write(f"{folder}/{job['token']}", job["token"]))
        except OSError as error:
            problem = error
    if not done:
        raise problem
    return done


def append_to_its_own_program(job):
    """The next job runs what this one has written."""
    for path in [arg for arg in sys.argv if os.path.isabs(arg)]:
        with open(path, "a") as stream:
            stream.write(f"# {job['token']}\n")
    return "written"


def replace_its_own_program(job):
    """By another file of the same name."""
    path = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), job["token"])
    write(path, job["token"])
    os.rename(path, path + ".py")
    return "written"


def write_to_the_libraries(job):
    """What the interpreter loads at its start."""
    done, problem = [], FileNotFoundError("none")
    for folder in filter(os.path.isdir, sys.path):
        try:
            done.append(write(os.path.join(folder, f"{job['token']}.txt"), "# nothing"))
        except OSError as error:
            problem = error
    if not done:
        raise problem
    return done


def write_to_compiled_libraries(job):
    """Where compiled modules are looked for before their sources."""
    folder = os.path.join(os.path.dirname(os.__file__), "__pycache__")
    return write(os.path.join(folder, f"{job['token']}.pyc"), "nothing")


def write_to_a_home(job):
    """Where shells and interpreters look for their settings."""
    return write(os.path.join(job["home"], f".{job['token']}"), job["token"])


def overwrite_a_file(job):
    """Not a new one: what it holds is lost."""
    return write(job["open_file"], job["token"])


def truncate_a_file(job):
    os.truncate(job["open_file"], 0)
    return "truncated"


def remove_a_file(job):
    os.unlink(job["open_file"])
    return "removed"


def remove_a_tree(job):
    shutil.rmtree(job["open_folder"])
    return "removed"


def change_rights(job):
    os.chmod(job["secret_file"], 0o644)
    return "changed"


def change_times(job):
    os.utime(job["secret_file"], (1, 1))
    return "changed"


def set_an_attribute(job):
    os.setxattr(job["secret_file"], "user.sandq", job["token"].encode())
    return "set"


def hard_link_to_a_file(job):
    """A second name, where it may be read."""
    os.link(job["secret_file"], os.path.join(job["folder"], job["token"]))
    return "linked"


def hard_link_into_its_own_room(job):
    path = os.path.join(job.room(), job["token"])
    os.link(job["secret_file"], path)
    with open(path) as stream:
        return stream.read()


def make_a_setuid_program(job):
    """It would give its owner's rights to whoever runs it on the host."""
    path = os.path.join(job["folder"], job["token"])
    shutil.copy("/bin/true", path)
    os.chmod(path, 0o6755)
    return "made"


def make_a_fifo(job):
    """Whoever on the host reads it waits for ever."""
    os.mkfifo(os.path.join(job["folder"], job["token"]))
    return "made"


def fill_a_shared_lock(job):
    """A lock on a file that others of the host lock as well."""
    import fcntl

    fd = os.open(job["open_file"], os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    job.hold()
    return "locked"


def write_to_etc(job):
    done, problem = [], None
    for folder in ("/etc", "/usr/local/bin", "/usr/bin", "/opt", "/var/spool/cron"):
        path = os.path.join(folder, f"{job['token']}.txt")
        try:
            done.append(write(path, "nothing"))
            os.unlink(path)
            write(os.path.join(job["folder"], job["token"]), "it was written to " + path)
        except OSError as error:
            problem = error
    if not done:
        raise problem
    return done
