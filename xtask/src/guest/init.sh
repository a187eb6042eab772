#!/bin/bash
# First process of the boots without systemd: the kernel's file systems, cgroups as asked for, then the jobs.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=1777,size=2g tmpfs /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
mount --make-rshared /
ip link set lo up
hostname guest
ulimit -n 65536
case "$BULKHEAD_BOOT" in
plain)
    mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
    ;;
hybrid)
    mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
    for set in cpu,cpuacct memory devices freezer pids cpuset blkio; do
        mkdir "/sys/fs/cgroup/$set" && mount -t cgroup -o "$set" "cgroup" "/sys/fs/cgroup/$set"
    done
    for link in cpu cpuacct; do ln -s cpu,cpuacct "/sys/fs/cgroup/$link"; done
    mkdir /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    ;;
esac
/bulkhead/jobs
sync
echo o > /proc/sysrq-trigger
sleep 60
