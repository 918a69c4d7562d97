//! Asks the program for its plan, and computes the same plan without the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    ops::Range,
    sync::{Mutex, TryLockError},
};

use pciseize::{
    cli::{Exit, Invocation, Memory},
    facts::usage::Usage,
    report::Stage,
    request::{Request, source::embedded},
};
use serde_json::Value;

use crate::{
    item::{Item, Selector, class_digits},
    machine::{self, Function},
    schema::{self, Kind},
    tree::Tree,
};

/// [`Memory`] is large, and making one takes longer than a run, so runs share these. At most as
/// many tests as there are memories run at a time.
static MEMORIES: [Mutex<Memory>; 8] = [const { Mutex::new(Memory::new()) }; 8];

/// Runs the program with these arguments.
pub fn run(tree: &mut Tree, words: &[&str], embedded: &[u8]) -> Exit {
    const NOTHING: Request = Request::new();
    const UNUSED: Usage = Usage::new();
    let words: Vec<CString> = words
        .iter()
        .map(|word| CString::new(*word).expect("a word without NUL"))
        .collect();
    let mut invocation = Invocation::new();
    invocation
        .read(words.iter().map(CString::as_c_str))
        .unwrap_or_else(|usage| panic!("{}", usage.message));
    let mut memory = MEMORIES
        .iter()
        .find_map(|memory| match memory.try_lock() {
            Ok(memory) => Some(memory),
            // A failed case leaves its memory poisoned.
            Err(TryLockError::Poisoned(memory)) => Some(memory.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        })
        .expect("a memory for each law");
    memory.request = NOTHING;
    memory.usage = UNUSED;
    memory.devices.clear();
    invocation.run(tree, &mut memory, Stage::Host, embedded)
}

/// The output of `plan --json`.
#[derive(Clone, Debug)]
pub struct Plan {
    pub exit: Exit,
    pub json: Value,
}

/// The sources of items.
pub const SOURCES: [&str; 8] = [
    "embedded",
    "/etc/xen/pciback.conf",
    "/etc/xen/pciback.conf.d/10-a.conf",
    "/etc/xen/pciback.conf.d/20-b.conf",
    "/etc/modprobe.d/xen.conf",
    "/etc/cmdline.d/10.conf",
    "/etc/cmdline",
    "/proc/cmdline",
];

/// The [`SOURCES`] with one item a line.
pub const FILES: Range<usize> = 0..4;

/// The [`SOURCES`] with kernel parameters.
pub const CMDLINES: Range<usize> = 5..8;

/// A machine, and the text of each source.
#[derive(Clone, Debug)]
pub struct Question {
    pub machine: Vec<Function>,
    pub texts: BTreeMap<&'static str, String>,
    pub broken: BTreeSet<&'static str>,
}

impl Question {
    /// A question with these items, each in its source.
    pub fn new<'i>(
        machine: &[Function],
        items: impl IntoIterator<Item = &'i (usize, Item)>,
    ) -> Question {
        let mut question = Question {
            machine: machine.to_vec(),
            texts: BTreeMap::new(),
            broken: BTreeSet::new(),
        };
        for (source, item) in items {
            question.ask(*source, &item.line());
        }
        question
    }

    /// Adds an item, in the syntax of its source.
    pub fn ask(&mut self, source: usize, item: &str) {
        if FILES.contains(&source) {
            self.write(source, &format!("{item}\n"));
        } else if CMDLINES.contains(&source) {
            self.write(source, &format!(" pciseize.hide={item}"));
        } else {
            self.write(source, &format!("options xen-pciback hide=({item})\n"));
        }
    }

    /// Adds a text to a source.
    pub fn write(&mut self, source: usize, text: &str) {
        *self.texts.entry(SOURCES[source]).or_default() += text;
    }

    /// The answer of the program.
    pub fn plan(&self) -> Plan {
        let mut tree = machine::tree(&self.machine);
        for (source, text) in &self.texts {
            if *source != SOURCES[0] {
                tree.file(source, text);
            }
        }
        for source in &self.broken {
            tree.nodes.insert(
                source.as_bytes().to_vec(),
                crate::tree::Node::Broken(pciseize::host::Errno::EIO),
            );
        }
        let text = self.texts.get(SOURCES[0]).map_or("", String::as_str);
        let exit = run(
            &mut tree,
            &["plan", "--json"],
            &embedded::section(text.as_bytes()).expect("few items fit"),
        );
        assert_eq!(tree.touched, [""; 0], "plan changes nothing");
        let json = schema::read(Kind::Plan, &tree.printed).unwrap_or_else(|e| panic!("{e}"));
        Plan { exit, json }
    }
}

impl Item {
    /// The text of the item, with its `!`.
    pub fn line(&self) -> String {
        (if self.is_keep { "!" } else { "" }).to_owned() + &self.text
    }
}

impl Plan {
    pub fn list(&self, key: &str) -> &[Value] {
        self.json[key]
            .as_array()
            .unwrap_or_else(|| panic!("no {key}: {}", self.json))
    }

    /// The action for each function that is present.
    pub fn actions(&self) -> BTreeMap<String, String> {
        let there = self
            .list("devices")
            .iter()
            .filter(|device| is_there(device));
        let actions: Vec<_> = there
            .map(|device| (text(&device["address"]), text(&device["action"])))
            .collect();
        let count = actions.len();
        let actions: BTreeMap<_, _> = actions.into_iter().collect();
        assert_eq!(
            actions.len(),
            count,
            "a device is listed twice: {}",
            self.json
        );
        actions
    }

    /// The name for guests of each function that has one.
    pub fn names(&self) -> BTreeMap<String, String> {
        let devices = self.list("devices").iter();
        let named = devices.filter(|device| !device["guest_name"].is_null());
        named
            .map(|device| (text(&device["address"]), text(&device["guest_name"])))
            .collect()
    }

    pub fn seized(&self) -> BTreeSet<String> {
        self.actions()
            .into_iter()
            .filter(|(_, action)| action == "seize")
            .map(|(address, _)| address)
            .collect()
    }

    /// The action for each item that means no function.
    pub fn absent(&self) -> BTreeMap<String, String> {
        self.list("devices")
            .iter()
            .filter(|device| !is_there(device))
            .map(|device| (text(&device["selector"]), text(&device["action"])))
            .collect()
    }
}

/// Whether a device of a plan is a function of the machine. Each of them can be read.
pub fn is_there(device: &Value) -> bool {
    !device["vendor"].is_null()
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
        .to_owned()
}

/// How a selector relates to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meets {
    /// The selector means another function.
    Not,
    /// Another device is at the place that the selector names.
    Mismatch,
    Yes,
}

/// Compares the printed forms of both, by the contract's table.
pub fn meets(selector: &Selector, function: &Function) -> Meets {
    let canonical = selector.canonical();
    let yes = |is: bool| if is { Meets::Yes } else { Meets::Not };
    if let Some((ids, place)) = canonical.split_once('@') {
        return match (is_place(place, function), is_identity(ids, function)) {
            (true, true) => Meets::Yes,
            (true, false) => Meets::Mismatch,
            (false, _) => Meets::Not,
        };
    }
    let class = canonical.strip_prefix("class:").map(class_digits);
    match (class.as_deref(), canonical.contains('.')) {
        (Some("audio"), _) => {
            yes(function.class.starts_with("0401") || function.class.starts_with("0403"))
        }
        (Some(digits), _) => yes(function.class.starts_with(digits)),
        (None, true) => yes(is_place(&canonical, function)),
        (None, false) => yes(is_identity(&canonical, function)),
    }
}

fn is_place(place: &str, function: &Function) -> bool {
    let known = if place.contains('/') {
        &function.path
    } else {
        &function.address
    };
    let fields =
        |text: &str| -> Vec<String> { text.split([':', '.', '/']).map(str::to_owned).collect() };
    let (wanted, known) = (fields(place), fields(known));
    wanted.len() == known.len()
        && wanted
            .iter()
            .zip(&known)
            .all(|(wanted, known)| wanted == "*" || wanted == known)
}

/// Whether a selector names a place in a domain of more than four digits.
fn is_beyond_xen(canonical: &str) -> bool {
    let place = canonical.rsplit('@').next().unwrap_or_default();
    let domain = place.split(':').next().unwrap_or_default();
    place.contains('.') && domain.len() > 4
}

fn is_identity(ids: &str, function: &Function) -> bool {
    ids.split(':')
        .zip(&function.ids)
        .all(|(wanted, known)| wanted == "*" || wanted == known)
}

/// The name that each function gets, by the contract: `named` are the items with a name, as they
/// are read, each with its source.
pub fn given(
    machine: &[Function],
    named: &[(usize, &str, &Selector)],
    seized: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    for (_, name, selector) in named {
        let mut same = named.iter().filter(|(_, other, _)| other == name);
        if !same.all(|(_, _, other)| other.canonical() == selector.canonical()) {
            continue;
        }
        let meant: Vec<&Function> = machine
            .iter()
            .filter(|function| meets(selector, function) == Meets::Yes)
            .filter(|function| !(function.is_bridge() && selector.passes_over_bridges()))
            .collect();
        if let [one] = meant[..]
            && seized.contains(&one.address)
        {
            given
                .entry(one.address.clone())
                .or_insert((*name).to_owned());
        }
    }
    given
}

/// The action for each present function, and for each item that means none. Compares every item
/// with every function.
pub fn expected<'i>(
    machine: &[Function],
    items: impl IntoIterator<Item = &'i (usize, Item)>,
    lacks_keep: bool,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let items: Vec<&Item> = items.into_iter().map(|(_, item)| item).collect();
    let (keeps, wishes): (Vec<&Item>, Vec<&Item>) =
        items.into_iter().partition(|item| item.is_keep);
    let mut actions = BTreeMap::new();
    let mut met: BTreeSet<String> = BTreeSet::new();
    for function in machine {
        let answers: Vec<(&Item, Meets)> = wishes
            .iter()
            .map(|&item| (item, meets(&item.selector, function)))
            .filter(|(item, meets)| {
                *meets != Meets::Not
                    && !(function.is_bridge() && item.selector.passes_over_bridges())
            })
            .collect();
        met.extend(answers.iter().map(|(item, _)| item.selector.canonical()));
        let asking: Vec<&Selector> = answers
            .iter()
            .filter(|(_, meets)| *meets == Meets::Yes)
            .map(|(item, _)| &item.selector)
            .collect();
        // A keep by path keeps what is there, be it a virtual function.
        let by_way = Function {
            path: function.way.clone(),
            ..function.clone()
        };
        let is_kept = keeps
            .iter()
            .any(|keep| meets(&keep.selector, &by_way) == Meets::Yes);
        let action = if answers.is_empty() {
            continue;
        } else if asking.is_empty() {
            "mismatch"
        } else if is_kept {
            "keep"
        } else if function.is_bridge() || function.is_beyond_xen() {
            "refuse"
        } else if lacks_keep && !asking.iter().any(|selector| selector.names_a_place()) {
            "leave"
        } else {
            "seize"
        };
        actions.insert(function.address.clone(), action.to_owned());
    }
    let absent = wishes
        .iter()
        .map(|item| item.selector.canonical())
        .filter(|canonical| !met.contains(canonical))
        .map(|canonical| {
            let action = if is_beyond_xen(&canonical) {
                "refuse"
            } else {
                "absent"
            };
            (canonical, action.to_owned())
        })
        .collect();
    (actions, absent)
}
