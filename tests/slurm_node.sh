#!/usr/bin/env bash
# A Slurm cluster of one node, this machine, on the loopback address: slurm_node.sh start|stop FOLDER
# Needs root and Debian's slurm-wlm and munge. Everything it writes is in FOLDER; clients find it by
# SLURM_CONF=FOLDER/slurm.conf.
set -Eeuo pipefail

folder=$(realpath -m "$2")
host=$(hostname -s)

start() {
    mkdir -p "$folder"/{state,spool,munge}
    chmod 755 "$folder" "$folder"/munge
    (umask 077 && dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none)
    cat >"$folder/slurm.conf" <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc --all) State=UNKNOWN
PartitionName=loopback Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    munged --force --socket "$folder/munge/socket" --key-file "$folder/munge/key" \
        --log-file "$folder/munge/log" --pid-file "$folder/munge/pid" \
        --seed-file "$folder/munge/seed"
    export SLURM_CONF=$folder/slurm.conf
    slurmctld
    slurmd
    for _ in $(seq 100); do
        [[ $(sinfo --noheader --format=%t 2>/dev/null) == idle ]] && return
        sleep 0.2
    done
    tail -n 20 "$folder"/slurm*.log >&2
    return 1
}

stop() {
    for file in "$folder"/slurmd.pid "$folder"/slurmctld.pid "$folder"/munge/pid; do
        if [[ -e $file ]]; then
            kill "$(cat "$file")" 2>/dev/null || true
        fi
    done
}

"$1"
