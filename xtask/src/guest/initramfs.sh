#!/bin/busybox sh
# First program of the guest: loads what its disks need, then hands over to the Debian root.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module" || echo "@@trouble cannot load $module"
done < /modules/order
tries=0
while [ ! -b /dev/vdb ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
mount -t ext4 /dev/vda /root || echo "@@trouble no root disk"
mkdir -p /root/bulkhead
mount -t ext4 -o ro /dev/vdb /root/bulkhead || echo "@@trouble no disk of jobs"
umount /sys /proc
mount --move /dev /root/dev
init=/bulkhead/init
for word in $BULKHEAD_INIT; do init=$word; done
exec switch_root /root "$init"
