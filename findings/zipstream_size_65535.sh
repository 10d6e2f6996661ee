#!/usr/bin/env bash
# zipstream-ng tells the size of a zip before it is made, for the header Content-Length. With exactly 65,535 files it
# tells 76 bytes too few: the zip is then written with the records of ZIP64, since 0xFFFF in the number of files
# stands for "look there", and the sum does not count them. With one file fewer or more it is right. A browser reports
# such a download as broken.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check zipstream-ng==1.9.3
environment/bin/python - <<'PYTHON'
from importlib.metadata import version

from zipstream import ZipStream

print(f"zipstream-ng {version('zipstream-ng')}")
print("guess: the size that is told is the size of the zip")
short = {}
for count in (65_534, 65_535, 65_536):
    zipped = ZipStream(sized=True)
    for number in range(count):
        zipped.add(b"", f"{number:05}")
    told, made = len(zipped), sum(map(len, zipped))
    short[count] = made - told
    print(f"seen:  {count:,} files: told {told:,} bytes, made {made:,}")
assert short == {65_534: 0, 65_535: 76, 65_536: 0}, "it is different now"
PYTHON
