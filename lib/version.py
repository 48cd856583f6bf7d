# SPDX-License-Identifier: Apache-2.0
# Prints "major.minor.patch" as the macros of zeta/version.h say, for the build.
import pathlib
import re

header = pathlib.Path(__file__).parent / 'include' / 'zeta' / 'version.h'
print('.'.join(re.findall(r'#define ZETA_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)', header.read_text())))
