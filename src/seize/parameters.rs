//! The parameters of the module: does pciback have those that are asked for?
//!
//! A module takes its parameters while it is loaded. Somebody else may have loaded it before, with
//! other parameters or with none, and a driver that is built in knows only those of the kernel's
//! command line.

use heapless::Vec;

use crate::{
    host::Files,
    pciback,
    request::{
        Fault, Mistake, Origin, PARAMETERS_SIZE, Problem, Request,
        syntax::{
            parameter::{Parameter, Parameters, is_same_name},
            value::parse_truth,
        },
    },
    text::append,
};

/// Parameters that every module takes and none shows (`kernel/module/main.c`,
/// `unknown_module_param_cb`).
const OF_EVERY_MODULE: [&str; 2] = ["dyndbg", "async_probe"];

/// What became of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// pciback has it, with that value.
    Same,
    /// It has another value.
    Other,
    /// Nobody can tell.
    Unknown,
}

/// Some parameters, with a blank between two.
type Texts = Vec<u8, PARAMETERS_SIZE>;

/// Notes the parameters that pciback, which is there, does not have.
pub fn note_others<H: Files>(host: &mut H, request: &mut Request) {
    // Each is a part of all parameters, and so has room.
    let (mut others, mut unknown) = (Texts::new(), Texts::new());
    let mut rest = Parameters::new(&request.module_parameters);
    while let Some(parameter) = rest.next() {
        // Of a parameter that is given twice the later one counts.
        let is_it = |later: Parameter| is_same_name(later.name, parameter.name);
        if rest.clone().any(is_it) {
            continue;
        }
        let texts = match state(host, &parameter) {
            State::Same => continue,
            State::Other => &mut others,
            State::Unknown => &mut unknown,
        };
        if !texts.is_empty() {
            let _ = texts.push(b' ');
        }
        let _ = append(texts, parameter.text);
    }
    for (texts, mistake) in [
        (&others, Mistake::OtherParameters),
        (&unknown, Mistake::UnknownParameters),
    ] {
        if !texts.is_empty() {
            // Not all of them stand where the last one does.
            let origin = Origin {
                column: 0,
                ..request.module_parameters_at
            };
            note(request, origin, texts, mistake);
        }
    }
}

/// Notes what is wrong with parameters.
pub fn note(request: &mut Request, origin: Origin, text: &[u8], mistake: Mistake) {
    let problem = Problem::new(origin, text, Fault::Is(mistake));
    request.problems.add(problem);
}

/// Compares a parameter with that of pciback.
fn state<H: Files>(host: &mut H, parameter: &Parameter) -> State {
    if OF_EVERY_MODULE
        .iter()
        .any(|name| is_same_name(parameter.name, name.as_bytes()))
    {
        return State::Same;
    }
    let wanted = parameter.value_text();
    let mut buffer = [0; 128];
    let Ok(value) = pciback::parameter(host, parameter.name, &mut buffer) else {
        return State::Unknown;
    };
    let is_same = match (parse_truth(wanted), parse_truth(Some(value))) {
        (Ok(wanted), Ok(value)) => wanted == value,
        _ => wanted.unwrap_or_default() == value,
    };
    if is_same { State::Same } else { State::Other }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, vec::Vec};

    use super::*;
    use crate::{
        host::testing::{Machine, boxed, shown},
        request::Found,
    };

    /// What is noted where pciback has passthrough, and not permissive.
    fn noted(parameters: &str) -> Vec<std::string::String> {
        let mut host = Machine::new();
        for (name, value) in [("passthrough", "Y\n"), ("permissive", "N\n"), ("x", "7\n")] {
            host.file(&format!("/sys/module/xen_pciback/parameters/{name}"), value);
        }
        let mut request = boxed(Request::new);
        let source = request.add_source(b"conf").expect("room");
        for parameter in Parameters::new(parameters.as_bytes()) {
            request.add_parameter(
                Origin::whole(source),
                parameter.name,
                parameter.value_text(),
            );
        }
        note_others(&mut host, &mut request);
        let problems = request.problems.iter();
        problems
            .map(|problem| shown(Found(&request, problem)))
            .collect()
    }

    #[test]
    fn notes_what_pciback_does_not_have() {
        for same in [
            "",
            "passthrough",
            "passthrough=1 permissive=0",
            "permissive=off",
            "passthrough=0 passthrough=Y",
            "x=7",
            "dyndbg=+p",
        ] {
            assert!(noted(same).is_empty(), "{same}");
        }
        for (parameters, told) in [
            ("permissive", "conf: \"permissive\": xen-pciback was there"),
            (
                "passthrough=1 passthrough=n",
                "conf: \"passthrough=n\": xen-pciback was there",
            ),
            (
                "permissive=1 x=8",
                "conf: \"permissive=1 x=8\": xen-pciback was there",
            ),
            (
                "unheard=1",
                "conf: \"unheard=1\": xen-pciback does not show",
            ),
        ] {
            let noted = noted(parameters);
            assert_eq!(noted.len(), 1, "{noted:?}");
            assert!(noted[0].starts_with(told), "{noted:?}");
        }
        assert_eq!(noted("permissive=1 unheard").len(), 2);
    }
}
