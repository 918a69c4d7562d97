//! Laws that hold for every request on every machine.

use std::{collections::BTreeSet, env};

use pciseize::{
    cli::Exit,
    host::Errno,
    request::{Selector, source::embedded},
    text::Line,
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::FileFailurePersistence};
use serde_json::Value;

use crate::{
    item::{self, Item, Wish, wish},
    machine::{self, Function, machine},
    plan::{
        CMDLINES, FILES, Meets, Plan, Question, SOURCES, expected, given, is_there, meets, run,
        text,
    },
    schema::{self, Kind},
    tree::{Node, Tree},
};

/// The number of cases for each law.
const CASES: u32 = 1_000;

pub fn config() -> ProptestConfig {
    let cases = env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES);
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

/// Items, each with the number of its source. One in five is a keep.
fn wishes() -> impl Strategy<Value = Vec<(usize, Wish)>> {
    vec((0..SOURCES.len(), wish(prop::bool::weighted(0.2))), 0..9)
}

fn items(machine: &[Function], wishes: &[(usize, Wish)]) -> Vec<(usize, Item)> {
    wishes
        .iter()
        .map(|(source, wish)| (*source, wish.item(machine)))
        .collect()
}

/// Typing mistakes.
const SLIPS: [&str; 12] = [
    "0000:82.0.0",
    "0b::00.1",
    "0000.02:00.3",
    "03:00:0",
    "[10de:1b80]",
    "1:0:1:0:",
    "class:nothing",
    "*:*",
    "10de:1b8",
    "03:00.8",
    "frobnicate=1",
    "03:20.0",
];

/// Bad items that are not keeps: typing mistakes and random text.
fn bad_item() -> impl Strategy<Value = String> {
    // Leave out the characters that end an item in one source or another, and those that make a
    // keep.
    prop_oneof![
        prop::sample::select(&SLIPS[..]).prop_map(str::to_owned),
        "[a-z0-9:.*@/~_-]{1,20}"
    ]
    .prop_filter("a good item", |text| {
        Selector::parse(text.as_bytes()).is_err()
    })
}

/// The ways in which a keep can exist and yet be unreadable.
#[derive(Clone, Copy, Debug)]
enum Unread {
    /// A line of a file.
    Line(usize, &'static str),
    /// A parameter of a command line.
    Parameter(usize, &'static str),
    /// An item of any source.
    Item(usize, &'static str),
    /// A file that cannot be read.
    Broken(&'static str),
}

fn unread() -> impl Strategy<Value = Unread> {
    let lines = [
        "!",
        "! # 03:00.0",
        "!03:00.0 = yes",
        "!=",
        "!(03:00.0)",
        "(!03:00.0)",
        "\"!03:00.0\"",
        "hide=!03:00.0",
        "! 03:00.0 04:00.0",
        "03:00.0 !04:00.0",
        "options xen-pciback hide=(!03:00.0)",
        "# all\r!03:00.0",
        "keep 03:00.0",
        "keep = 03:00.0",
        "-03:00.0",
    ];
    let parameters = [
        "pciseize.hide=!",
        "pciseize.hide=(!)",
        "pciseize.hide=\"! \"",
        "pciseize.hide=\"\"!03:00.0\"\"",
        "pciseize.hide='!03:00.0'",
        "pciseize.hide=x\"!03:00.0",
        "pciseize.hide!=03:00.0",
        "pciseize.off=!",
        "xen-pciback.hide=(!)",
        "pciback.hide=(!nonsense)",
        "rd.qubes.hide_pci=!nonsense",
        "rd.qubes.hide_pci=!03:00.0",
        "rd.qubes.hide_all_usb=!",
        "rd.qubes.dom0_usb",
        "rd.qubes.dom0_usb=nonsense",
        "rd.qubes.dom0_usb=00_1c.0-01_00.0",
        "rd.qubes.dom0_usb=07:07.7, 03:00.0",
        "rd.qubes.dom0_usb=07:07.7,",
        "pciseize.strict=no !03:00.0",
        "pciseize.strict=no quiet (!03:00.0)",
        "pciseize.strict=no keep",
        "pciseize.keep=03:00.0",
        "pciseize=!03:00.0",
        "-- pciseize.hide=!03:00.0",
    ];
    let items = [
        "!nonsense",
        "!03:0g",
        "!class:nothing",
        "!0000:82.0.0",
        "!*:*",
        "!!03:00.0",
        "!03:00.0=yes",
        "![03:00.0]",
        "03:00.0!",
    ];
    let files = [
        "/etc/xen/pciback.conf.d/99-broken.conf",
        "/etc/cmdline.d/99-broken.conf",
        "/etc/modprobe.d/99-broken.conf",
        "/run/modprobe.d",
        "/usr/local/lib/modprobe.d/99-broken.conf",
        "/etc/modules",
        "/etc/modules-load.d/99-broken.conf",
    ];
    prop_oneof![
        3 => (FILES, prop::sample::select(lines.to_vec()))
            .prop_map(|(source, line)| Unread::Line(source, line)),
        3 => (CMDLINES, prop::sample::select(parameters.to_vec()))
            .prop_map(|(source, parameter)| Unread::Parameter(source, parameter)),
        3 => (0..SOURCES.len(), prop::sample::select(items.to_vec()))
            .prop_map(|(source, item)| Unread::Item(source, item)),
        1 => prop::sample::select(files.to_vec()).prop_map(Unread::Broken),
    ]
}

impl Question {
    fn with(mut self, unread: Unread) -> Question {
        match unread {
            Unread::Line(source, line) => self.write(source, &format!("{line}\n")),
            Unread::Parameter(source, parameter) => self.write(source, &format!(" {parameter}")),
            Unread::Item(source, item) => self.ask(source, item),
            Unread::Broken(source) => drop(self.broken.insert(source)),
        }
        self
    }
}

/// Ways to write a keep on the command line. Any separator may stand in a list, and between a `!`
/// and its selector. `X` stands for the selector.
const PARTED: [&str; 13] = [
    "pciseize.hide=!(X)",
    "pciseize.hide=(!X)",
    "pciseize.hide=(!)(X)",
    "pciseize.hide=!,X",
    "pciseize.hide=\"! X\"",
    "pciseize.hide=\"(! X)\"",
    "pciseize.hide=\"! ( X )\"",
    "\"pciseize.hide=!  X\"",
    "pciseize.hide=\"!X",
    "\"pciseize.hide=\"!X",
    "xen-pciback.hide=(!)(X)",
    "xen_pciback.hide=!(X)",
    "pciback.hide=,!,,X,",
];

fn shown(value: impl ufmt::uDisplay) -> String {
    let mut line = Line::new();
    pciseize::put!(&mut line, "{}", value);
    String::from_utf8(line.bytes().to_vec()).expect("the text is UTF-8")
}

/// The devices of a plan, without the fields that depend on the item shown for each device. That
/// item is the first that asks for the device or keeps it, so two orders of the same items may
/// differ in these fields, and only in these.
fn undated(plan: &Plan) -> BTreeSet<String> {
    let devices = plan.list("devices").iter().cloned();
    let stripped = devices.map(|mut device| {
        device["source"] = Value::Null;
        if is_there(&device) {
            device["selector"] = Value::Null;
        }
        // These warnings mention an item.
        if ["keep", "mismatch"].contains(&text(&device["action"]).as_str()) {
            device["warnings"] = Value::Null;
        }
        // As this one does, which is about the address in it.
        if let Some(warnings) = device["warnings"].as_array() {
            let warnings: Vec<String> = warnings.iter().map(text).collect();
            let pieces = warnings.iter().flat_map(|warning| warning.split("; "));
            let others: Vec<&str> = pieces
                .filter(|piece| !piece.starts_with("its twin "))
                .collect();
            device["warnings"] = others.into();
        }
        device.to_string()
    });
    stripped.collect()
}

proptest! {
    #![proptest_config(config())]

    /// The program understands every way to write a selector, and prints the same selector.
    #[test]
    fn printing_and_parsing_is_the_identity(meant in item::selector(), style: u64) {
        let item = item::written(meant, style, false);
        let parsed = Selector::parse(item.text.as_bytes());
        prop_assert!(parsed.is_ok(), "{:?}: {parsed:?}", item.text);
        let parsed = parsed.expect("it is ok");
        prop_assert_eq!(shown(&parsed), item.selector.canonical(), "{}", item.text);
        prop_assert_eq!(Selector::parse(item.selector.canonical().as_bytes()), Ok(parsed));
    }

    /// A matcher that compares every item with every function gives the same result.
    #[test]
    fn a_naive_reading_of_the_contract_agrees(machine in machine(), wishes in wishes()) {
        let items = items(&machine, &wishes);
        let question = Question::new(&machine, &items);
        let plan = question.plan();
        let (actions, absent) = expected(&machine, &items, false);
        prop_assert_eq!(plan.actions(), actions, "{:?}", question.texts);
        prop_assert_eq!(plan.absent(), absent, "{:?}", question.texts);
        let is_done = |action: &String| ["seize", "keep"].contains(&action.as_str());
        let is_as_asked = plan.absent().is_empty() && plan.actions().values().all(is_done);
        prop_assert_eq!(plan.exit, if is_as_asked { Exit::AsAsked } else { Exit::NotAsAsked });
    }

    /// The plan shows the facts in sysfs, and an item that asked for the device.
    #[test]
    fn facts_are_true(machine in machine(), wishes in wishes()) {
        let items = items(&machine, &wishes);
        let plan = Question::new(&machine, &items).plan();
        for device in plan.list("devices").iter().filter(|device| is_there(device)) {
            let function = machine
                .iter()
                .find(|function| device["address"] == function.address)
                .expect("a function of the machine");
            prop_assert_eq!(&device["path"], &function.path);
            let keys = ["vendor", "device", "subvendor", "subdevice"];
            for (key, id) in keys.iter().zip(&function.ids) {
                prop_assert_eq!(&device[key], id);
            }
            prop_assert_eq!(&device["class"], &function.class);
            prop_assert_eq!(device["driver"].as_str(), function.driver);
            let (selector, source) = (text(&device["selector"]), text(&device["source"]));
            let is_that = |(at, item): &&(usize, Item)| {
                item.selector.canonical() == selector && SOURCES[*at] == source
            };
            let item = items.iter().find(is_that).map(|(_, item)| item);
            prop_assert!(item.is_some(), "there is no {selector} in {source}");
            prop_assert_ne!(meets(&item.expect("it is some").selector, function), Meets::Not);
        }
    }

    #[test]
    fn an_item_more_never_removes_a_seizure(
        machine in machine(),
        wishes in wishes(),
        more in (0..SOURCES.len(), wish(Just(false))),
        at: Index
    ) {
        let mut items = items(&machine, &wishes);
        let before = Question::new(&machine, &items).plan().seized();
        items.insert(at.index(items.len() + 1), (more.0, more.1.item(&machine)));
        let after = Question::new(&machine, &items).plan().seized();
        prop_assert!(after.is_superset(&before), "{before:?} became {after:?}");
    }

    #[test]
    fn a_bad_item_changes_nothing_else(
        machine in machine(),
        wishes in wishes(),
        source in 0..SOURCES.len(),
        bad in bad_item()
    ) {
        let items = items(&machine, &wishes);
        let question = Question::new(&machine, &items);
        let before = question.plan();
        let mut worse = question;
        worse.ask(source, &bad);
        let after = worse.plan();
        prop_assert_eq!(before.list("devices"), after.list("devices"));
        prop_assert_eq!(after.exit, Exit::NotAsAsked);
        let problems: Vec<&Value> = after
            .list("problems")
            .iter()
            .filter(|problem| !before.list("problems").contains(problem))
            .collect();
        prop_assert_eq!(problems.len(), 1, "{}", after.json);
        prop_assert_eq!(&problems[0]["source"], SOURCES[source]);
        prop_assert_eq!(&problems[0]["text"], bad.as_str());
    }

    /// An unreadable keep only removes seizures. Items that name an exact place still count; the
    /// devices that are no longer seized were asked for without one.
    #[test]
    fn an_unreadable_keep_only_takes_away(
        machine in machine(),
        wishes in wishes(),
        unread in unread()
    ) {
        let items = items(&machine, &wishes);
        let question = Question::new(&machine, &items);
        let before = question.plan().seized();
        let after = question.with(unread).plan();
        prop_assert!(after.seized().is_subset(&before), "{before:?} became {:?}", after.seized());
        for address in before.difference(&after.seized()) {
            let function = machine
                .iter()
                .find(|function| function.address == *address)
                .expect("a function of the machine");
            let asks = |item: &Item| {
                !item.is_keep && meets(&item.selector, function) == Meets::Yes
            };
            let names_it = |(_, item): &(usize, Item)| asks(item) && item.selector.names_a_place();
            prop_assert!(!items.iter().any(names_it), "an item names the place of {address}");
        }
        prop_assert_eq!(after.actions(), expected(&machine, &items, true).0);
        prop_assert_eq!(after.exit, Exit::NotAsAsked);
    }

    /// A name is for the one function that its item means. Nobody gets a name that is for several
    /// items, or for none or several functions, or for one that is not seized; each is told. And
    /// names change nothing else.
    #[test]
    fn a_name_is_for_one_function(
        machine in machine(),
        wishes in wishes(),
        names in vec(prop::option::of(prop::sample::select(&["gpu", "lan", "x-1_y"][..])), 9)
    ) {
        let items = items(&machine, &wishes);
        let mut question = Question::new(&machine, &[]);
        let mut named = Vec::new();
        for ((source, item), name) in items.iter().zip(names) {
            match name.filter(|_| FILES.contains(source) && !item.is_keep) {
                Some(name) => {
                    question.write(*source, &format!("{name} = {}\n", item.text));
                    named.push((*source, name, &item.selector));
                }
                None => question.ask(*source, &item.line()),
            }
        }
        let plan = question.plan();
        prop_assert_eq!(plan.actions(), expected(&machine, &items, false).0);
        named.sort_by_key(|(source, ..)| *source);
        let given = given(&machine, &named, &plan.seized());
        prop_assert_eq!(plan.names(), given.clone(), "{:?}", question.texts);
        for (_, name, _) in named {
            let begins = format!("{name} = ");
            let mut problems = plan.list("problems").iter();
            let is_told = problems.any(|problem| text(&problem["text"]).starts_with(&begins));
            let is_given = given.values().any(|own| own == name);
            prop_assert_eq!(is_told, !is_given, "{}: {}", name, plan.json);
        }
    }

    /// Neither the order nor the source of an item matters.
    #[test]
    fn order_never_matters(
        machine in machine(),
        wishes in wishes(),
        shuffled in Just(()).prop_perturb(|(), mut random| random.random::<u64>()),
        sources in vec(0..SOURCES.len(), 9)
    ) {
        let items = items(&machine, &wishes);
        let mut others = items.clone();
        let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        others.sort_by_key(|(_, item)| item.text.bytes().fold(shuffled, mix));
        others.iter_mut().zip(sources).for_each(|((source, _), other)| *source = other);
        let one = Question::new(&machine, &items).plan();
        let other = Question::new(&machine, &others).plan();
        prop_assert_eq!(undated(&one), undated(&other));
        prop_assert_eq!(one.exit, other.exit);
    }

    #[test]
    fn a_keep_always_wins(
        machine in machine(),
        wishes in wishes(),
        keep in (0..SOURCES.len(), wish(Just(true))),
        at: Index
    ) {
        let mut items = items(&machine, &wishes);
        let keep = (keep.0, keep.1.item(&machine));
        items.insert(at.index(items.len() + 1), keep.clone());
        let seized = Question::new(&machine, &items).plan().seized();
        let is_kept = |function: &&Function| meets(&keep.1.selector, function) == Meets::Yes;
        for function in machine.iter().filter(is_kept) {
            let (address, line) = (&function.address, keep.1.line());
            prop_assert!(!seized.contains(address), "{address} is seized in spite of {line}");
        }
    }

    /// A keep counts, however its `!` and its selector are separated.
    #[test]
    fn a_keep_in_pieces_is_a_keep(
        machine in machine(),
        wishes in wishes(),
        keep in wish(Just(true)),
        source in CMDLINES,
        form in prop::sample::select(&PARTED[..])
    ) {
        let mut items = items(&machine, &wishes);
        let keep = keep.item(&machine);
        let mut question = Question::new(&machine, &items);
        question.write(source, &format!(" {}", form.replace('X', &keep.text)));
        items.push((source, keep));
        let plan = question.plan();
        let actions = expected(&machine, &items, false).0;
        prop_assert_eq!(plan.actions(), actions, "{:?}", question.texts);
    }
}

/// The content of a file: a machine's, a user's, or nonsense.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(
        &[
            "pciseize.hide=",
            "xen-pciback.hide=(",
            "rd.qubes.hide_pci=",
            "rd.qubes.dom0_usb=",
            "rd.qubes.hide_all_usb",
            "pciseize.off",
            "options xen-pciback ",
            "0000:03:00.0",
            "03:00.*",
            "00:1c.0/00.0",
            "10de:1b80",
            "10de:*",
            "pci:0:0",
            "class:usb",
            "class:",
            "@",
            "!",
            "#",
            "\n",
            " ",
            "\"",
            "=",
            ",",
            "(",
            ")",
            "\\\n",
            "strict = yes\n",
            "\0",
            "\r\n",
            "--",
            "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00\n",
            "pci:v",
            "../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0",
            "../",
            "/0000:00:1c.0",
            "00000f05\n",
            "\u{85}",
            "é",
        ][..],
    );
    let piece = prop_oneof![
        4 => pieces.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..30),
        1 => (any::<u8>(), 0..3000usize).prop_map(|(byte, count)| vec![byte; count]),
    ];
    let pieces = vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    // More than the program reads of any file.
    let many = (pieces.clone(), 0..70_000usize)
        .prop_map(|(pieces, length)| pieces.into_iter().cycle().take(length).collect());
    prop_oneof![20 => pieces, 1 => many]
}

/// Files and links with random content, at paths that the program reads.
fn disorder() -> impl Strategy<Value = Vec<(Vec<u8>, Node)>> {
    let known = prop::sample::select(
        &[
            "/etc/xen/pciback.conf",
            "/etc/xen/pciback.conf.d/10.conf",
            "/etc/xen/pciback.conf.d",
            "/etc/modprobe.d/x.conf",
            "/run/modprobe.d/y.conf",
            "/usr/lib/modprobe.d/z.conf",
            "/etc/initramfs-tools/modules",
            "/etc/modules-load.d/m.conf",
            "/etc/xen/pciback.boot",
            "/sys/bus/pci/devices/0000:03:00.0/physfn",
            "/etc/cmdline.d/a.conf",
            "/etc/cmdline",
            "/proc/cmdline",
            "/sys/hypervisor/properties/features",
            "/sys/bus/pci/devices",
            "/run/pciseize/report",
            "/sys/bus/pci/devices/0000:03:00.0",
            "/sys/bus/pci/devices/0000:03:00.0/modalias",
            "/sys/bus/pci/devices/0000:03:00.0/config",
            "/sys/bus/pci/devices/0000:03:00.0/driver",
            "/sys/bus/pci/devices/0000:03:00.0/driver_override",
            "/sys/bus/pci/devices/nonsense/modalias",
            "/sys/bus/pci/drivers/pciback/irq_handlers",
        ][..],
    );
    let odd = (
        prop::sample::select(
            &[
                "/etc/xen/pciback.conf.d/",
                "/etc/modprobe.d/",
                "/sys/bus/pci/devices/",
            ][..],
        ),
        vec(1..=255u8, 1..255),
    )
        .prop_map(|(folder, name)| {
            let name = name.into_iter().filter(|&byte| byte != b'/');
            folder.bytes().chain(name).chain(*b".conf").collect()
        });
    let path = prop_oneof![8 => known.prop_map(|path| path.as_bytes().to_vec()), 1 => odd];
    let errno = prop::sample::select(&[Errno::EIO, Errno::EACCES, Errno::ELOOP, Errno(77)][..]);
    let node = prop_oneof![
        8 => content().prop_map(Node::File),
        4 => content().prop_map(Node::Link),
        1 => errno.prop_map(Node::Broken),
    ];
    vec((path, node), 1..10)
}

/// The tree of the machine, with some nodes replaced.
fn disordered(machine: &[Function], disorder: &[(Vec<u8>, Node)]) -> Tree {
    let mut tree = machine::tree(machine);
    tree.nodes.extend(disorder.iter().cloned());
    tree
}

proptest! {
    #![proptest_config(config())]

    /// On any bytes at all, the program answers. With `--json` it prints what the schema says, and
    /// every message stays one line.
    #[test]
    fn any_bytes_have_an_answer(
        machine in machine(),
        disorder in disorder(),
        section in content(),
        has_section: bool
    ) {
        let mut section = section;
        if has_section {
            section.resize(embedded::SECTION_SIZE, b'\n');
            section[embedded::TEXT_SIZE..].copy_from_slice(embedded::END_MARK);
        }
        let as_json = [
            (Kind::Plan, ["plan", "--json"]),
            (Kind::List, ["list", "--json"]),
            (Kind::Status, ["status", "--json"]),
        ];
        let words = as_json.iter().map(|(_, words)| &words[..]);
        for words in words.chain([&["plan"][..], &["check"], &["seize"]]) {
            let mut tree = disordered(&machine, &disorder);
            let exit = run(&mut tree, words, &section);
            let is_known = matches!(exit, Exit::AsAsked | Exit::NotAsAsked | Exit::Strict);
            prop_assert!(is_known, "{words:?}: {exit:?}");
            prop_assert!(exit != Exit::Strict || words == ["seize"]);
            let may_write = words == ["seize"];
            let touched = &tree.touched;
            prop_assert!(may_write || touched.is_empty(), "{words:?}: {touched:?}");
            prop_assert!(String::from_utf8(tree.printed.clone()).is_ok());
            for line in &tree.said {
                let line = str::from_utf8(line);
                let is_line = line.is_ok_and(|line| !line.contains(char::is_control));
                prop_assert!(is_line, "{line:?}");
            }
            if let Some((kind, _)) = as_json.iter().find(|(_, own)| words == own) {
                schema::read(*kind, &tree.printed).map_err(TestCaseError::fail)?;
            }
        }
    }
}
