#!/bin/sh
# Installs the stock clients once per lock file and links them here: install.sh [js] [python] [browser], by default the
# first two. Each becomes js/node_modules, python/.venv and so on.
# Repeatable, safe when two runs start at once, and without the network when the cache has them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sentinel/clients"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

hash_of() { cat "$@" | sha256sum | cut -c1-16; }
# Replaces a folder that a plain `npm install` or `python -m venv` left, and any older link. One that is right stays: a
# client may be starting from it.
link() { [ "$(readlink "$2")" = "$1" ] || { rm -rf "$2" && ln -s "$1" "$2"; }; }

# npm_packages FOLDER
npm_packages() {
    npm_dir="$cache/npm-$(hash_of "$here/$1/package-lock.json" "$here/$1/package.json")-node$(node -p 'process.versions.modules')"
    if [ ! -d "$npm_dir" ]; then
        echo "clients: installing npm packages ($1)"
        rm -rf "$npm_dir.part"
        mkdir -p "$npm_dir.part"
        cp "$here/$1/package.json" "$here/$1/package-lock.json" "$here/$1/.npmrc" "$npm_dir.part/"
        (cd "$npm_dir.part" && npm ci --ignore-scripts --no-audit --no-fund --silent)
        # Trusted from then on, so it has to be on the disk first.
        sync -f "$npm_dir.part"
        mv "$npm_dir.part" "$npm_dir"
    fi
    link "$npm_dir/node_modules" "$here/$1/node_modules"
}

python_packages() {
    python=${PYTHON:-python3}
    venv="$cache/py-$(hash_of "$here/python/requirements.txt")-$("$python" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')"
    # A venv can't be moved, so a finished one is told by its mark.
    if [ ! -e "$venv/.complete" ]; then
        echo "clients: installing Python packages"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/python/requirements.txt"
        sync -f "$venv"
        touch "$venv/.complete"
    fi
    link "$venv" "$here/python/.venv"
}

[ $# -gt 0 ] || set -- js python
for part in "$@"; do
    case $part in
        python) python_packages ;;
        js | browser) npm_packages "$part" ;;
        *) echo "install.sh [js] [python] [browser]" >&2; exit 2 ;;
    esac
done
