# A real polkitd on a bus of its own judges each action for two users; everything ends with this script.
# Usage: unshare --mount --pid --fork --mount-proc --kill-child --propagation private sh -eu polkit.sh DIR AGENT
# DIR holds bus.conf, passwd, actions/, rules/ and the list ids; a line of output is USER ACTION STATUS, where 0 is yes. What the program AGENT
# finds out about each user goes to DIR/doctor.USER.
dir=$1 agent=$2
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$dir/bus"

# polkitd's folders are fixed, so others are put in their places, for this namespace only.
mount -t tmpfs tmpfs /etc/polkit-1
mkdir /etc/polkit-1/rules.d "$dir/none"
cp "$dir"/rules/* /etc/polkit-1/rules.d/
mount --bind "$dir/none" /usr/share/polkit-1/rules.d
mount --bind "$dir/actions" /usr/share/polkit-1/actions
mount --bind "$dir/passwd" /etc/passwd

dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile &
until [ -S "$dir/bus" ]; do sleep 0.05; done
/usr/lib/polkit-1/polkitd --no-debug &
until busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" status org.freedesktop.PolicyKit1 > /dev/null 2>&1; do sleep 0.05; done

# A process that is taken for the agent, and does nothing.
cp "$(command -v sleep)" "$dir/cuo-agent"
run=$dir/root/run/cuo-agent/agent
mkdir -p "$run"

for user in cuo-agent nobody; do
    setpriv --reuid="$user" --regid=65534 --clear-groups "$dir/cuo-agent" 60 &
    # pkcheck reads the user off the process, which is root's until it has become the other program.
    until [ "$(cat /proc/$!/comm)" = cuo-agent ]; do sleep 0.05; done
    echo $! > "$run/pid"
    # It finds much that is missing here.
    "$agent" --root "$dir/root" doctor --output json > "$dir/doctor.$user" || :
    while read -r action; do
        status=0
        pkcheck --action-id "$action" --process $! > /dev/null 2>&1 || status=$?
        echo "$user $action $status"
    done < "$dir/ids"
done
