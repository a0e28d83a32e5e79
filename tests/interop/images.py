"""Images for the tests, pushed by crane from $PEERS."""
import os
import subprocess
import tempfile


def push(host, name):
    """Pushes a fresh image as HOST/NAME:v1 and returns its digest."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "made"), "wb") as file:
            file.write(os.urandom(16))
        layer = os.path.join(folder, "layer.tar")
        subprocess.run(["tar", "-C", folder, "-cf", layer, "made"], check=True)
        out = subprocess.run([os.path.join(os.environ["PEERS"], "bin/crane"), "append", "--oci-empty-base", "-f", layer,
                              "-t", f"{host}/{name}:v1"], check=True, capture_output=True, text=True).stdout
    return out.strip().rsplit("@", 1)[1]


def push_index(host, name):
    """Pushes two fresh images and an index of them as HOST/NAME:index; returns its digest and theirs."""
    children = [push(host, name), push(host, name)]
    command = [os.path.join(os.environ["PEERS"], "bin/crane"), "index", "append", "-t", f"{host}/{name}:index"]
    for child in children:
        command += ["-m", f"{host}/{name}@{child}"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return out.strip().rsplit("@", 1)[1], children
