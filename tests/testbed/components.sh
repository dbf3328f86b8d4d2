# shellcheck shell=bash
# Which components a command line asks for. Sourced by up and down.

readonly KNOWN=(docker ssh slurm apptainer aws gcp)
components=("$@")
[ $# -gt 0 ] || components=("${KNOWN[@]}")
for component in "${components[@]}"; do
  case " ${KNOWN[*]} " in
    *" $component "*) ;;
    *)
      echo "there is no component $component; there are: ${KNOWN[*]}" >&2
      exit 2
      ;;
  esac
done
