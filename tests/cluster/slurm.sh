#!/usr/bin/env bash
# A sweep on a real Slurm of one machine: eight jobs or more, one killed and one cancelled on the
# way, gone on with, and compared bit for bit with what the same jobs give without a scheduler.
#
#     tests/cluster/slurm.sh [FOLDER]
#
# Needs root, Debian (slurm-wlm and munge are installed if they are not there) and `make env`. All
# daemons are this script's own, on ports of their own, and end with it; what it made lies in FOLDER
# (/tmp/semantica-slurm), which must not exist. Ends with "as asked" and 0, or with what was wrong.
set -euo pipefail
place=${1:-/tmp/semantica-slurm}
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$root/.venv/bin
jobs=8

fail() { echo "slurm.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root"
[ -x "$bin/snakemake" ] || fail "needs the environment: make env"
[ ! -e "$place" ] || fail "$place exists: name another folder, or remove it"
[ ! -e /etc/slurm/slurm.conf ] || fail "this machine has a Slurm of its own: /etc/slurm/slurm.conf"

if ! command -v slurmctld slurmd munged squeue > /dev/null; then
    apt-get update -q && apt-get install -q -y --no-install-recommends slurm-wlm munge
fi

mkdir -p "$place"/{munge,state,spool,log}
place=$(cd "$place" && pwd)
chmod 755 "$place" "$place"/*
stop() {  # what was started here, by its own process id
    for name in slurmd slurmctld munge/munged; do
        if [ -s "$place/$name.pid" ]; then kill "$(cat "$place/$name.pid")" 2> /dev/null || true; fi
    done
    rm -f /etc/slurm/slurm.conf
}
trap stop EXIT

# munge, by which Slurm's parts know each other
(umask 077 && head -c 1024 /dev/urandom > "$place/munge/key")
munged --key-file="$place/munge/key" --socket="$place/munge/socket" --num-threads=2 \
    --pid-file="$place/munge/munged.pid" --seed-file="$place/munge/seed" \
    --log-file="$place/log/munged" --force
munge --socket="$place/munge/socket" -n | unmunge --socket="$place/munge/socket" > /dev/null

# Slurm of one node: a controller, and a daemon that runs jobs
cat > "$place/slurm.conf" << END
ClusterName=semantica
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthInfo=socket=$place/munge/socket
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/log/slurmctld
SlurmdLogFile=$place/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=20
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4000
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
mkdir -p /etc/slurm && ln -s "$place/slurm.conf" /etc/slurm/slurm.conf  # where jobs look for it
slurmctld
slurmd
for _ in $(seq 30); do
    sinfo -h -o %T | grep -qx idle && break
    sleep 1
done
srun hostname > /dev/null || fail "Slurm does not answer: see $place/log"
echo "slurm $(sinfo --version | cut -d' ' -f2), $(nproc) cores, snakemake $("$bin/snakemake" --version)"

# The sweep as jobs, once for each of two folders of results
made() { SEMANTICA_RESULTS=$place/$1 "$bin/semantica" workflow "$root/tests/cluster/sweep.yaml" --jobs $jobs; }
for where in cluster local; do
    mkdir "$place/$where"
    made $where > "$place/$where/Snakefile"
done
number=$(grep -cE '^    [0-9]+: \(' "$place/cluster/Snakefile")
[ "$number" -ge 8 ] || fail "only $number jobs that train"

on_slurm() {
    (cd "$place/cluster" && "$bin/snakemake" --executor slurm --jobs "$number" --keep-going \
        --slurm-no-account --slurm-status-command squeue \
        --slurm-init-seconds-before-status-checks 3 --seconds-between-status-checks 3 \
        --default-resources slurm_partition=work)
}

# First go: of the jobs that run, one is killed and one is cancelled, each once it has begun to train
on_slurm > "$place/log/first" 2>&1 &
first=$!
stopped=()
while [ ${#stopped[@]} -lt 2 ] && kill -0 $first 2> /dev/null; do
    sleep 1
    for job in $(squeue -h -t RUNNING -o %i); do
        [[ " ${stopped[*]-} " != *" $job "* ]] || continue
        log=$(find "$place/cluster/.snakemake/slurm_logs" -name "$job.log" 2> /dev/null)
        grep -qE '[1-9][0-9.]*k/' "${log:-/dev/null}" || continue
        if [ ${#stopped[@]} = 0 ]; then scancel --full --signal=KILL "$job"; else scancel "$job"; fi
        stopped+=("$job")
        echo "job $job stopped while it trained"
        break
    done
done
if wait $first; then fail "no job failed: none was stopped in time"; fi
[ ${#stopped[@]} = 2 ] || fail "the jobs ended before two could be stopped: see $place/log/first"
left=$(SEMANTICA_RESULTS=$place/cluster "$bin/semantica" run "$root/tests/cluster/sweep.yaml" --dry-run)
echo "$left"
grep -qE ': [0-9,]+ of 40,000 steps' <<< "$left" || fail "nothing was left to train"

# Second go: only what was stopped is left, and goes on from its checkpoint where it has one
on_slurm > "$place/log/second" 2>&1 || fail "the second go failed: see $place/log/second"
again=$(grep -cE '^ *rule train:' "$place/log/second")
[ "$again" = 2 ] || fail "the second go ran $again training jobs, not the 2 that were stopped"

# The same jobs on this machine, without a scheduler
(cd "$place/local" && "$bin/snakemake" --cores "$(nproc)" > "$place/log/local" 2>&1) \
    || fail "without a scheduler: see $place/log/local"
"$bin/python" "$root/tests/cluster/compare.py" "$place/cluster" "$place/local"
echo "as asked: $number jobs, 2 stopped, gone on with, and equal bit for bit to those run here"
