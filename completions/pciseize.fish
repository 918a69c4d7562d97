# fish completion for pciseize(8).

# The command on the line, if there is one before the cursor.
function __pciseize_command
    set -l words (commandline -opc)
    while set -e words[1]; and set -q words[1]
        switch $words[1]
            case --root --cmdline --name
                # The next word is its value.
                set -e words[1]
            case '-*'
            case '*'
                echo $words[1]
                return 0
        end
    end
    return 1
end

# Whether the command is one of these.
function __pciseize_takes
    set -l command (__pciseize_command)
    and contains -- $command $argv
end

# Functions that pciback has or no driver has.
function __pciseize_addresses
    set -l sysfs /sys
    set -q PCISEIZE_SYSFS; and set sysfs $PCISEIZE_SYSFS
    for folder in $sysfs/bus/pci/devices/*
        set -l driver (readlink $folder/driver)
        contains -- (basename "$driver") '' pciback; and basename $folder
    end
end

# All functions.
function __pciseize_devices
    set -l sysfs /sys
    set -q PCISEIZE_SYSFS; and set sysfs $PCISEIZE_SYSFS
    for folder in $sysfs/bus/pci/devices/*
        basename $folder
    end
end

complete -c pciseize -f
complete -c pciseize -n 'not __pciseize_command' -a list \
    -d 'show every device, and what dom0 uses it for'
complete -c pciseize -n 'not __pciseize_command' -a show \
    -d 'show all that is known of a device, and what to type'
complete -c pciseize -n 'not __pciseize_command' -a plan -d 'show what a boot would do'
complete -c pciseize -n 'not __pciseize_command' -a add -d 'ask for devices for good'
complete -c pciseize -n 'not __pciseize_command' -a remove \
    -d 'ask no longer for what add has asked for'
complete -c pciseize -n 'not __pciseize_command' -a seize -d 'take the devices that are asked for'
complete -c pciseize -n 'not __pciseize_command' -a status -d 'show what became of them'
complete -c pciseize -n 'not __pciseize_command' -a name-guests \
    -d 'tell Xen the names that devices have for guests'
complete -c pciseize -n 'not __pciseize_command' -a release -d 'give devices back to dom0'
complete -c pciseize -n 'not __pciseize_command' -a guest-config \
    -d "print what a guest's configuration says of devices"
complete -c pciseize -n 'not __pciseize_command' -a check \
    -d 'read the configuration and report every problem in it'
complete -c pciseize -n 'not __pciseize_command' -l root -x -a '(__fish_complete_directories)' \
    -d 'put this folder in front of every path'
complete -c pciseize -n 'not __pciseize_command' -l help -d 'print the help'
complete -c pciseize -n 'not __pciseize_command' -l version -d 'print the version'
complete -c pciseize -n '__pciseize_takes list' -l all -d 'on a terminal, show bridges too'
complete -c pciseize -n '__pciseize_takes list' -l names \
    -d 'print what pci.ids has of these devices'
complete -c pciseize -n '__pciseize_takes list show plan status' -l json -d 'print JSON'
complete -c pciseize -n '__pciseize_takes list' -l boot -d 'print what this host boots from'
complete -c pciseize -n '__pciseize_takes plan' -l warnings -d 'print only devices with a warning'
complete -c pciseize -n '__pciseize_takes plan' -l cmdline -x \
    -d 'read this in place of /proc/cmdline'
complete -c pciseize -n '__pciseize_takes seize' -l force -d 'take what is in use, too'
complete -c pciseize -n '__pciseize_takes add' -l address -d 'write the address alone'
complete -c pciseize -n '__pciseize_takes add' -l identity -d 'write the ids alone'
complete -c pciseize -n '__pciseize_takes add' -l slot -d 'the other functions of its slot, too'
complete -c pciseize -n '__pciseize_takes add' -l group \
    -d 'what an IOMMU cannot tell from it, too'
complete -c pciseize -n '__pciseize_takes add' -l name -x -d 'give it this name for guests'
complete -c pciseize -n '__pciseize_takes add' -l now -d 'take it at once'
complete -c pciseize -n '__pciseize_takes add' -l force -d 'also what a boot refuses'
complete -c pciseize -n '__pciseize_takes add remove' -a '(__pciseize_devices)'
complete -c pciseize -n '__pciseize_takes check' -F
complete -c pciseize -n '__pciseize_takes guest-config' -l libvirt -d 'print XML for libvirt'
complete -c pciseize -n '__pciseize_takes guest-config' -a '(__pciseize_addresses)'
complete -c pciseize -n '__pciseize_takes release' -a '(__pciseize_addresses)'
complete -c pciseize -n '__pciseize_takes show' -a '(__pciseize_devices)'
