# enter.sh ROOT TREE BOUND PROGRAM...
#
# Runs a program in ROOT, whose /usr is TREE's and in which each folder of BOUND is over the one of the same name, in a mount namespace of its
# own. Nothing below TREE can be written. Processes are numbered as outside: GLib refuses peers whose process it can't see.
set -eu
root=$1 tree=$2 bound=$3
shift 3
mount --make-rprivate /
# A root of its own, so that what is mounted below it is not seen through the sysroot.
mount --bind "$root" "$root"
cd "$root"
mount --bind "$tree/usr" usr
mount -o remount,bind,ro usr
for folder in "$bound"/*; do
    mount --bind "$folder" "${folder##*/}"
done
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs tmp
# No systemd is there: systemctl says so by itself, and reports success. What is deployed has to be removable afterwards.
exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 HOME=/tmp SYSTEMD_OFFLINE=1 OSTREE_SYSROOT_DEBUG=mutable-deployments \
    DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket "$@"
