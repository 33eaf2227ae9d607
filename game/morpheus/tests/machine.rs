//! The machine: threads, waits, exceptions, and what operators make of values.

use std::cell::RefCell;
use std::rc::Rc;

use mohaa_morpheus::{Call, Exception, Host, Machine, Value};

/// An engine whose only command notes what it is given.
struct Notes(Rc<RefCell<Vec<String>>>);

impl Host for Notes {
    fn call(&mut self, _: &Machine, call: &Call<'_>) -> Option<Result<Value, Exception>> {
        (call.name == "note").then(|| {
            let texts: Vec<String> = call
                .arguments
                .iter()
                .map(|value| String::from_utf8_lossy(&value.text()).into_owned())
                .collect();
            self.0.borrow_mut().push(texts.join(" "));
            Ok(Value::Nil)
        })
    }
}

struct Run {
    machine: Rc<Machine>,
    notes: Rc<RefCell<Vec<String>>>,
}

impl Run {
    fn of(script: &str) -> Self {
        let notes = Rc::new(RefCell::default());
        let machine = Machine::new(Box::new(Notes(Rc::clone(&notes))));
        machine.load("a.scr", script.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        machine.start("a.scr", "", Value::Nil, &[]);
        Run { machine, notes }
    }

    fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }
}

/// What a script of these lines notes, without any error.
fn noted(lines: &str) -> Vec<String> {
    let run = Run::of(lines);
    assert_eq!(run.machine.errors(), Vec::<String>::new());
    run.notes()
}

#[test]
fn operators_make_of_values_what_the_engine_does() {
    let lines = r#"
        note ("a" + 1 + 2)
        note (1 + 2 + "a")
        note ("a" + 1.5)
        note (1 / 2) (1.0 / 2) (7 % 4)
        local.text = "abc"
        note (local.text[0] + "x") local.text.size
        note (1 2 3)
        note ("" == "") ("a" == "b") ("1" == 1) (NIL == NIL) ("a" == NIL) (1 == 1.0)
        note (1 && 0 || 1) (!local.nothing)
        note (1 ? "yes" : "no")
    "#;
    assert_eq!(
        noted(lines),
        ["a12", "3a", "a1.500", "0 0.500 3", "ax 3", "( 1.000 2.000 3.000 )", "1 0 1 1 0 1", "1 1", "yes"]
    );
}

#[test]
fn what_is_wrong_is_noted_with_its_place_and_the_thread_goes_on() {
    let run = Run::of(
        "main:\n  local.a = \"a\" + NIL\n  local.b = NULL.name\n  nonsense 1\n  local.c = \"abc\"\n  note local.c[3]\n  note after\nend\n",
    );
    let errors = run.machine.errors();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert_eq!(errors[0], "a.scr:2:3: binary 'Add' applied to incompatible types 'string' and 'none'");
    assert!(errors[2].starts_with("a.scr:4:3: unknown command: nonsense"), "{errors:?}");
    assert_eq!(run.notes(), ["after"]);
}

#[test]
fn try_catches_what_is_raised_within_and_skips_the_rest() {
    let lines = "main:\n try {\n  note one\n  nonsense 1\n  note two\n }\n catch {\n  note caught\n }\n note three\nend";
    assert_eq!(noted(lines), ["one", "caught", "three"]);
}

#[test]
fn threads_wait_and_go_on_in_the_order_of_time() {
    let run = Run::of(
        "main:\n thread other\n note main0\n wait 2\n note main2\nend\nother:\n note other0\n wait 1\n note other1\n wait 2\n note other3\nend",
    );
    assert_eq!(run.notes(), ["other0", "main0"]);
    run.machine.advance(1999);
    assert_eq!(run.notes(), ["other0", "main0", "other1"]);
    run.machine.advance(1001);
    assert_eq!(run.notes(), ["other0", "main0", "other1", "main2", "other3"]);
}

#[test]
fn waitthread_waits_and_brings_the_value() {
    let run = Run::of(
        "main:\n local.x = waitthread twice 21\n note local.x\nend\ntwice local.n:\n wait 1\nend (local.n * 2)",
    );
    assert_eq!(run.notes(), Vec::<String>::new());
    run.machine.advance(1000);
    assert_eq!(run.notes(), ["42"]);
}

#[test]
fn who_waits_for_an_event_of_the_level_goes_on_once_it_happens() {
    let run = Run::of("main:\n level waittill roundstart\n note started\nend");
    run.machine.happen("roundend");
    assert_eq!(run.notes(), Vec::<String>::new());
    run.machine.happen("roundstart");
    run.machine.happen("roundstart");
    assert_eq!(run.notes(), ["started"]);
}

#[test]
fn loops_and_choices_do_what_they_say() {
    let lines = r#"
main:
    for (local.i = 0; local.i < 5; local.i++)
    {
        if (local.i == 1) continue
        if (local.i == 3) break
        note local.i
    }
    while (local.i > 2) local.i--
    do { local.i++ } while (local.i < 10)
    note local.i
    switch ("b")
    {
        case "a":
            note a
        case "b":
            note b
        case "c":
            note c
            break
        default:
            note other
    }
    switch (7)
    {
        case 1:
            note one
            break
        default:
            note other
    }
end
"#;
    assert_eq!(noted(lines), ["0", "2", "10", "b", "c", "other"]);
}

#[test]
fn arrays_and_maps_hold_what_is_put_into_them() {
    let lines = "main:\n level.a[1] = one\n level.a[\"two\"] = 2\n level.a[1] = NIL\n note level.a.size level.a[\"two\"] (level.a[1] == NIL)\n local.b = x::y::z\n note local.b[1] local.b[3] local.b.size\n local.c = makearray\n  k v\n  l\n endarray\n local.d = local.c[1]\n note local.d[2] local.c[2]\nend";
    assert_eq!(noted(lines), ["1 2 1", "x z 3", "v l"]);
}

#[test]
fn an_endless_loop_is_an_error_and_not_endless() {
    let run = Run::of("main:\n while (1) { local.a = 1 }\nend");
    assert!(run.machine.errors().iter().any(|error| error.contains("too long")));
}

#[test]
fn threads_that_start_one_another_without_end_are_an_error() {
    let run = Run::of("main:\n waitthread main\nend");
    assert_eq!(run.machine.errors(), ["a.scr:2:2: stack overflow"]);
}
