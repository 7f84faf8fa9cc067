# Functions of the set-up scripts; sourced by them from the repository's root.

log=.venv/setup.log

say() { printf '%s\n' "$*"; }

# Ends the set-up with sentences on stderr, one an argument.
stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

# As stop, after the last lines of what the failing command had printed.
stop_with_log() {
    say "The last lines of $log:" >&2
    tail -n 12 "$log" | sed 's/^/    /' >&2
    stop "$@"
}

is_python() { "$1" -c "import sys; sys.exit(not $2)" >/dev/null 2>&1; }

# The first Python of 3.10 or newer. A name that is there may still not run (pyenv's shims), so each is tried.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.10; do
        if is_python "$name" "sys.version_info >= (3, 10)"; then
            command -v "$name"
            return
        fi
    done
    stop "ai_nano needs Python 3.10 or newer: install it with 'sudo apt-get install python3 python3-venv' (Debian 12," \
         "Ubuntu 22.04 or newer), then start the same make again."
}

# A CPython 3.6, the Python of JetPack 4 on a Nano; prints nothing where there is none.
find_python36() {
    local candidate
    for candidate in python3.6 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.6.*/bin/python3.6; do
        if is_python "$candidate" "sys.version_info[:2] == (3, 6)"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}

# apt_install WHY PACKAGE...: installs Debian packages where this user may, else prints the command and stops.
apt_install() {
    local why=$1 as_root=()
    shift
    command -v apt-get >/dev/null ||
        stop "$why Install what corresponds to these Debian packages, then start the same make again:" "    $*"
    if [ "$(id -u)" != 0 ]; then
        if sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            stop "$why Copy this command, then start the same make again:" \
                 "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
        fi
    fi
    say "$why Installing with apt-get: $*"
    # One dead mirror fails the update; whether the packages can be had is said by the install.
    "${as_root[@]}" apt-get update </dev/null >>"$log" 2>&1 || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" \
        </dev/null >>"$log" 2>&1 ||
        stop_with_log "apt-get could not install them. Try the command yourself:" "    sudo apt-get install -y $*"
}

# Of pip's output only what tells a waiting person that something goes on: large downloads, and the long last part.
show_progress() {
    local line file
    while IFS= read -r line; do
        case $line in
            *Downloading\ *.metadata*) ;;
            *Downloading\ *MB\)*)
                file=${line##*Downloading }
                file=${file##*/}
                say "    downloading ${file%%-*} (${line##*(}"
                ;;
            *Installing\ collected\ packages:*)
                file=${line//[^,]/}
                say "    putting them in place (packages: $((${#file} + 1)))"
                ;;
        esac
    done
}

# pip_install ENVIRONMENT ARGUMENT...: pip's own words go into the log. Only a tenth of PyTorch's modules is ever
# imported: Python compiles those when it does.
pip_install() {
    local environment=$1
    shift
    printf '\n$ pip install %s\n' "$*" >>"$log"
    "$environment/bin/python" -m pip install --disable-pip-version-check --no-input --no-compile --progress-bar off "$@" \
        </dev/null 2>&1 | tee -a "$log" | show_progress
}

# Whether PyTorch's index answers: one question, no retry. `timeout` also bounds a name server that stays silent.
answers() {
    timeout 5 "$1" - "$2" >/dev/null 2>&1 <<'PYTHON'
import sys
import urllib.request

urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=4).close()
PYTHON
}

# Whether fontconfig, or the folders that it looks into, know a font; without one Qt draws every letter as an empty box.
has_font() {
    local folder
    if command -v fc-list >/dev/null; then
        [ -n "$(fc-list 2>/dev/null)" ]
        return
    fi
    for folder in /usr/share/fonts /usr/local/share/fonts "${XDG_DATA_HOME:-$HOME/.local/share}/fonts" "$HOME/.fonts"; do
        if [ -n "$(find -L "$folder" -iname '*.[ot]t[fc]' -print -quit 2>/dev/null)" ]; then return; fi
    done
    return 1
}

# figure NAME: megabytes from .make/download-size.
figure() { sed -n "s/^$1 *= *\([0-9]*\).*/\1/p" .make/download-size; }
