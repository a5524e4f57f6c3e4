# Makes .venv and installs g2rec into it; sourced by quickstart and test, which then call `set_up [EXTRA]`.
# shellcheck shell=bash
#
# G2REC_PYTHON   the Python that makes .venv (default: the first of python3, python3.13, 3.12, 3.11 that is 3.11+)
#
# A stamp in .venv remembers what was installed, so a second run installs nothing.

venv=.venv
torch_pin=$(sed -n 's/^torch==//p' constraints.txt)
torch_cpu_index=https://download.pytorch.org/whl/cpu

say() { printf '%s\n' "$*"; }
stop() { printf '%s\n' "$*" >&2; exit 2; }

set_up() {
  local extra=${1:-} stamp hash
  hash=$(cat setup.cfg pyproject.toml constraints.txt scripts/_setup.sh | cksum | tr -d ' ')
  stamp=$venv/.g2rec-$hash
  if [ -e "$stamp-$extra" ] || { [ -z "$extra" ] && compgen -G "$stamp-*" >/dev/null; }; then
    [ -x "$venv/bin/g2rec" ] && return
  fi
  make_venv
  pip_install "the build tool" "setuptools>=77"
  install_torch
  say "Installing g2rec${extra:+ with its $extra extra}: numba, pyarrow, scipy, matplotlib, lightning and what they need (about 250 MB)"
  # compat: a path, not a finder, or a script beside the clone would import the clone as an empty package
  pip_install "g2rec" --no-build-isolation -c constraints.txt --config-settings editable_mode=compat -e ".${extra:+[$extra]}"
  rm -f "$venv"/.g2rec-[0-9]*
  touch "$stamp-$extra"
}

make_venv() {
  local python
  if [ -d "$venv" ] && ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "$venv is incomplete, making it again"
    rm -rf "$venv"
  fi
  [ -d "$venv" ] && return
  python=$(find_python) || stop "g2rec needs Python 3.11 or newer, found ${python:-none}; install one, or name it: G2REC_PYTHON=/path/to/python3.11 $0"
  say "Making $venv with $("$python" --version)"
  "$python" -m venv "$venv" || { rm -rf "$venv"; stop "$python could not make $venv (see above); on Debian and Ubuntu, install the package python3-venv"; }
}

# Prints the Python to use; fails, printing what it found, if none is new enough.
find_python() {
  local candidate seen=
  for candidate in ${G2REC_PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
    seen=${seen:-$("$candidate" --version 2>/dev/null || true)}
  done
  printf '%s' "$seen"
  return 1
}

# On Linux without a GPU, the default index would bring CUDA along: several gigabytes for nothing.
install_torch() {
  "$venv/bin/python" -c "from importlib.metadata import version; assert version('torch').split('+')[0] == '$torch_pin'" 2>/dev/null && return
  if [ "$(uname -s)" != Linux ]; then
    say "Downloading torch $torch_pin (about 100 MB)"
  elif nvidia-smi -L 2>/dev/null | grep -q GPU; then
    say "Downloading torch $torch_pin with CUDA, for the GPU of this machine (about 3 GB)"
  elif answers "$torch_cpu_index/torch/"; then
    say "Downloading torch $torch_pin for the CPU from $torch_cpu_index (about 200 MB)"
    pip_try --no-deps --index-url "$torch_cpu_index" "torch==$torch_pin" && return
    say "That did not work; taking torch $torch_pin from pip's default index, whose Linux build may bring CUDA (about 3 GB)"
  else
    say "$torch_cpu_index did not answer; taking torch $torch_pin from pip's own index, whose Linux build may bring CUDA (about 3 GB)"
  fi
  pip_install "torch" -c constraints.txt "torch==$torch_pin"
}

# Whether a web page answers within five seconds.
answers() {
  timeout 10 "$venv/bin/python" - "$1" 2>/dev/null <<'PYTHON'
import sys
import urllib.request

urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=5)
PYTHON
}

pip_try() { "$venv/bin/python" -m pip --disable-pip-version-check install --retries 2 "$@" >"$venv/setup.log" 2>&1; }

# pip_install NAME ARGUMENT...
pip_install() {
  local name=$1 started=$SECONDS
  shift
  pip_try "$@" || {
    tail -n 15 "$venv/setup.log" >&2
    stop "Installing $name failed (the end of $venv/setup.log is above); check the network connection and run $0 again"
  }
  if ((SECONDS - started > 1)); then say "  $name: done in $((SECONDS - started)) s"; fi
}
