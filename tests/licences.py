# SPDX-License-Identifier: Apache-2.0
"""Every file names its licence on its first or second line: licences.py ROOT. Prints those that do not, and fails. Not
asked for: documents, pictures, and data, whose first bytes mean something else; they are Apache-2.0 by LICENSE."""
import os
import subprocess
import sys

TAG = b'SPDX-License-Identifier: Apache-2.0'
DOCUMENTS = ('.md', '.svg')
DATA = ('apps/zeta/data/persuasion.txt', 'tests/cache/golden/', 'tests/capi/abi/layout.txt', 'tests/fuzz/corpus/',
        'tests/vectors/data/')
OTHERS = ('LICENSE', '.ci/packages')


def tracked(root):
    """Files of a git checkout; none if this is no such thing."""
    try:
        listing = subprocess.run(['git', '-C', root, 'ls-files', '-z'], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return listing.decode().split('\0')[:-1] if os.path.exists(os.path.join(root, '.git')) else []


def unpacked(root):
    """Files of an unpacked archive; folders of builds and what Meson downloads are none of it."""
    for folder, folders, names in os.walk(root):
        place = os.path.relpath(folder, root)
        folders[:] = [f for f in folders if not f.startswith(('build', '__pycache__', '.git')) and
                      not os.path.isdir(os.path.join(folder, f, 'meson-private')) and
                      (place != 'subprojects' or f == 'packagefiles')]
        yield from (os.path.normpath(os.path.join(place, name)) for name in names if not name.endswith('.pyc'))


def is_tagged(path):
    with open(path, 'rb') as file:
        return TAG in file.readline() + file.readline()


def main():
    root = sys.argv[1]
    files = [f for f in tracked(root) or unpacked(root)
             if not f.endswith(DOCUMENTS) and not f.startswith(DATA) and f not in OTHERS]
    files = [f for f in files if os.path.isfile(os.path.join(root, f))]
    untagged = sorted(f for f in files if not is_tagged(os.path.join(root, f)))
    print(len(files), 'files')
    sys.stderr.writelines('no licence named in %s\n' % f for f in untagged)
    return 1 if untagged or len(files) < 100 else 0 # fewer: it looked at the wrong folder


if __name__ == '__main__':
    sys.exit(main())
