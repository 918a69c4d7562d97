//! Compares the model kernel with the real one: the same calls to both, line by line.
//!
//! A dom0 of Debian 12 plays a script of calls and records the errno or content of each. The model
//! of the same machine, `tests/model/kernel.rs`, must give the same answers.

#[path = "../model/kernel.rs"]
mod kernel;

use anyhow::{Context, Result, ensure};
use kernel::{Driver, Function, Kernel, MODULE};

use crate::lab::{
    board::{BEHIND_ROOT_PORT, NETWORK, NVME},
    evidence::Evidence,
    image::{Generator, Image},
    machine::Machine,
};

/// A device that pciback cannot initialise if its ports are taken, and the kernel argument that
/// takes them.
const IDE: &str = "0000:00:0d.0";
const IDE_DEVICE: &str = "piix3-ide,addr=0xd";
const PORTS_TAKEN: &str = "reserve=0x1f0,0x8";

/// The file with the answers of the machine.
const ANSWERS: &str = "answers";

/// A Python script: Xen's toolstack brings Python along. It plays the calls of a file and writes
/// each answer: `ok`, the name of an errno, or the content read.
const PLAYER: &str = r#"
import ctypes, errno, os

libc = ctypes.CDLL(None, use_errno=True)

def put(path, value):
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, value.encode())
    finally:
        os.close(file)

def get(path):
    with open(path) as file:
        return file.read().replace("\n", " ").strip()

def load(path):
    file = os.open(path, os.O_RDONLY)
    if libc.syscall(313, file, b"", 0) != 0:
        raise OSError(ctypes.get_errno(), "finit_module")

def play(words):
    if words[0] == "write":
        return put(words[1], " ".join(words[2:]))
    if words[0] == "read":
        return get(words[1])
    if words[0] == "link":
        return os.readlink(words[1])
    return load(words[1])

with open("/lab/calls") as calls, open("answers", "w") as answers:
    for call in calls:
        try:
            said = play(call.split())
            said = "ok" if said is None else said
        except OSError as error:
            said = errno.errorcode[error.errno]
        answers.write(call.strip() + " = " + said + "\n")
"#;

/// The calls. `H` and `T` are a network card and its twin, `B` a device behind a root port, `N` an
/// NVMe disk, `I` the device that cannot be initialised. `D/` and `P/` begin the paths of devices
/// and of pciback.
const CALLS: &str = "
# The hold on what a driver has: it stays, and cannot be told to take it anew.
link D/H/driver
read D/H/driver_override
write D/H/driver_override pciseize
read D/H/driver_override
link D/H/driver
write E/bind H
write E/unbind T-no
write D/H/driver/unbind H
link D/H/driver
write D/H/driver/unbind H
write E/unbind H
write E/bind H
write /sys/bus/pci/drivers_probe H
link D/H/driver
write /sys/bus/pci/drivers_probe 0000:00:1e.7
# No pciback yet.
write P/bind H
read P/slots
read P/irq_handlers
# A name that is nobody's does not let it in either. One that is its own does.
write D/T/driver_override pciback
write D/T/driver/unbind T
write E/bind T
link D/I/driver
write D/I/driver_override pciback
# The load takes what has its name, and swallows what goes wrong.
load M
load M
read /sys/module/xen_pciback/initstate
link D/H/driver
link D/T/driver
link D/I/driver
read P/slots
read P/irq_handlers
# To bind is to have the right name first.
write P/bind H
write D/H/driver_override pciback
write P/bind H
write P/bind H
write P/bind 0000:00:1e.7
write P/bind nonsense
write D/0000:00:1e.7/driver_override pciback
link D/H/driver
read P/irq_handlers
# What could not be initialised, released and bound anew.
write D/I/driver/unbind I
write P/bind I
link D/I/driver
read D/I/driver_override
read P/irq_handlers
# The list.
write P/remove_slot I
write P/remove_slot I
write P/new_slot 0000:00:1e.7
write P/new_slot 00:1e.6
write P/new_slot 0000:00:1e.7
write P/new_slot 0000:00:20.0
write P/new_slot 0000:00:1e.8
write P/new_slot 10000:00:00.0
write P/new_slot 0000:100:00.0
write P/new_slot nonsense
write P/new_slot 0000:00:*.0
read P/slots
write P/new_slot 0000:40:1f.*
read P/slots
write P/remove_slot 0000:40:1f.*
write P/remove_slot 0000:40:1f.3
write P/remove_slot 0000:00:1e.6
write P/remove_slot nonsense
write P/remove_slot 00:1e.7
read P/slots
# Gone and back: the override is lost, the list is not.
write D/H/remove 1
link D/H/driver
read D/H/driver_override
write D/H/driver_override pciseize
write P/bind H
read P/irq_handlers
read P/slots
write /sys/bus/pci/rescan 1
read D/H/driver_override
link D/H/driver
read P/irq_handlers
# Off the list its own driver, which came first, takes it.
write P/remove_slot H
write D/H/remove 1
write /sys/bus/pci/rescan 1
link D/H/driver
read D/H/driver_override
# Listed and released it is pciback's for whoever asks.
write P/new_slot N
link D/N/driver
write D/N/driver/unbind N
write P/bind N
link D/N/driver
read D/N/driver_override
read P/slots
write D/N/driver/unbind N
link D/N/driver
write V/bind N
link D/N/driver
# A bridge on the list stands for what is behind it.
write D/B/driver/unbind B
write P/bind B
write P/new_slot R
write P/bind B
link D/B/driver
link D/B
read P/slots
# What an override may be.
write D/T/driver_override
read D/T/driver_override
link D/T/driver
link D/T/driver_override
read P/bind
write P/slots x
";

/// The calls with real addresses and paths. `module` is the path for the model or the machine.
fn calls(module: &str) -> Vec<String> {
    let root_port = "0000:00:06.0";
    let names = [
        ("H", NETWORK.listed),
        ("T", NETWORK.twin),
        ("B", BEHIND_ROOT_PORT.listed),
        ("N", NVME.listed),
        ("I", IDE),
        ("R", root_port),
        ("M", module),
    ];
    let folders = [
        ("D", "/sys/bus/pci/devices"),
        ("P", "/sys/bus/pci/drivers/pciback"),
        ("E", "/sys/bus/pci/drivers/e1000e"),
        ("V", "/sys/bus/pci/drivers/nvme"),
    ];
    let part = |part: &str| {
        names
            .iter()
            .chain(&folders)
            .find(|(short, _)| *short == part)
            .map_or(part.to_owned(), |(_, long)| (*long).to_owned())
    };
    let word = |word: &str| {
        if word.starts_with("/sys") {
            word.to_owned()
        } else {
            word.split('/').map(part).collect::<Vec<_>>().join("/")
        }
    };
    let lines = CALLS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The model of the same machine, with the drivers that its real root has loaded.
fn model() -> Kernel {
    let mut kernel = Kernel::new();
    kernel.locks_overrides = true;
    let e1000e = Driver {
        name: "e1000e",
        takes: "pci:v00008086d000010D3",
    };
    let nvme = Driver {
        name: "nvme",
        takes: "pci:v00001B36d00000010",
    };
    let port = Driver {
        name: "pcieport",
        takes: "pci:v00001B36d0000000C",
    };
    for (address, modalias, above) in [
        (NETWORK.listed, e1000e.takes, "pci0000:00"),
        (NETWORK.twin, e1000e.takes, "pci0000:00"),
        ("0000:00:06.0", port.takes, "pci0000:00"),
        (
            BEHIND_ROOT_PORT.listed,
            e1000e.takes,
            "pci0000:00/0000:00:06.0",
        ),
        (NVME.listed, nvme.takes, "pci0000:00"),
        // dom0's driver cannot take this device either.
        (IDE, "pci:v00008086d00007010", "pci0000:00"),
    ] {
        let mut function = Function::new(modalias);
        above.clone_into(&mut function.above);
        if address == IDE {
            function.init_error = Some(pciseize::host::Errno::EINVAL);
        }
        kernel.functions.insert(address.to_owned(), function);
    }
    [port, e1000e, nvme]
        .into_iter()
        .for_each(|driver| kernel.register(driver));
    kernel
}

/// Plays a call on the model. Returns the answer in the machine's words.
fn answer(kernel: &mut Kernel, call: &str) -> String {
    let words: Vec<&str> = call.split_whitespace().collect();
    let said = match words[0] {
        "write" => kernel
            .store(words[1], words[2..].join(" ").as_bytes())
            .map(|()| "ok".to_owned()),
        "read" => kernel
            .content(words[1])
            .map(|content| kernel::text(&content).replace('\n', " ").trim().to_owned()),
        "link" => kernel.target(words[1]),
        _ => kernel.load(words[1], b"", false).map(|()| "ok".to_owned()),
    };
    let errno = |errno: pciseize::host::Errno| {
        let names = [
            (2, "ENOENT"),
            (5, "EIO"),
            (13, "EACCES"),
            (16, "EBUSY"),
            (17, "EEXIST"),
            (19, "ENODEV"),
            (21, "EISDIR"),
            (22, "EINVAL"),
        ];
        names
            .iter()
            .find(|(number, _)| *number == errno.0)
            .map_or_else(|| errno.0.to_string(), |(_, name)| (*name).to_owned())
    };
    said.unwrap_or_else(errno)
}

/// The model kernel answers each call as the real one does.
#[test]
fn the_model_kernel_answers_like_the_real_one() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let module = format!(
        "/lib/modules/{}/kernel/drivers/xen/xen-pciback/xen-pciback.ko",
        image.debian.release
    );
    let seen = Machine::dom0(&image)
        .device(IDE_DEVICE)
        .cmdline(PORTS_TAKEN)
        .file("/lab/calls", &(calls(&module).join("\n") + "\n"))
        .file("/lab/player", PLAYER)
        .script("python3 /lab/player")
        .boot("replay")?;
    compare(&seen, &module)
}

fn compare(seen: &Evidence, module: &str) -> Result<()> {
    let answers = seen
        .file(ANSWERS)
        .with_context(|| format!("no answers: {:?}", seen.file("script.output")))?;
    let mut kernel = model();
    let mut wrong = Vec::new();
    let of_model = calls(MODULE);
    let of_machine = calls(module);
    ensure!(
        answers.lines().count() == of_model.len(),
        "not all calls were played:\n{answers}"
    );
    for ((call, model_call), real) in of_machine.iter().zip(&of_model).zip(answers.lines()) {
        let model = format!("{call} = {}", answer(&mut kernel, model_call));
        if model != real {
            wrong.push(format!("{real}\n  the model: {model}"));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} calls:\n{}\nall:\n{answers}",
        wrong.len(),
        of_model.len(),
        wrong.join("\n")
    );
    Ok(())
}
