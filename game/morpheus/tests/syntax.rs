//! The grammar: what the engine's compiler takes, what it refuses, and where it says the fault is.

use mohaa_morpheus::ast::{
    CaseValue, Expression, ExpressionKind, ListenerName, Operator, Script, StatementKind, UnaryOperator,
};
use mohaa_morpheus::{SyntaxErrorKind, parse};
use proptest::prelude::*;

fn script(text: &str) -> Script {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn refused(text: &str) -> String {
    parse(text.as_bytes()).err().unwrap_or_else(|| panic!("was taken: {text}")).to_string()
}

/// What is assigned in `local.x = …`.
fn value(text: &str) -> String {
    let script = script(&format!("local.x = {text}"));
    match &script.body[0].kind {
        StatementKind::Assign { value, .. } if script.body.len() == 1 => shown(value),
        other => panic!("{text}: {other:?}"),
    }
}

/// An expression with all its parentheses.
fn shown(expression: &Expression) -> String {
    let list = |values: &[Expression]| values.iter().map(shown).collect::<Vec<_>>().join(" ");
    match &expression.kind {
        ExpressionKind::Integer(number) => number.to_string(),
        ExpressionKind::Float(number) => format!("{number:?}"),
        ExpressionKind::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
        ExpressionKind::Null => "NULL".to_owned(),
        ExpressionKind::Nil => "NIL".to_owned(),
        ExpressionKind::Listener(ListenerName::SelfEntity) => "self".to_owned(),
        ExpressionKind::Listener(name) => format!("{name:?}").to_lowercase(),
        ExpressionKind::TargetName(name) => format!("${}", shown(name)),
        ExpressionKind::Vector(numbers) => format!("<{}>", list(&numbers[..])),
        ExpressionKind::Field { of, name } => format!("{}.{name}", shown(of)),
        ExpressionKind::Size(of) => format!("{}.SIZE", shown(of)),
        ExpressionKind::Index { of, index } => format!("{}[{}]", shown(of), shown(index)),
        ExpressionKind::Array(values) => {
            format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join("::"))
        }
        ExpressionKind::MakeArray(lines) => {
            format!("[{}]", lines.iter().map(|line| list(line)).collect::<Vec<_>>().join(" | "))
        }
        ExpressionKind::Unary { operator, operand } => {
            let sign = match operator {
                UnaryOperator::Minus => "-",
                UnaryOperator::Complement => "~",
                UnaryOperator::Not => "!",
            };
            format!("{sign}({})", shown(operand))
        }
        ExpressionKind::Binary { operator, left, right } => {
            format!("({} {operator:?} {})", shown(left), shown(right))
        }
        ExpressionKind::Ternary { condition, then, otherwise } => {
            format!("({} ? {} : {})", shown(condition), shown(then), shown(otherwise))
        }
        ExpressionKind::Call { name, arguments } => format!("{name}({})", list(arguments)),
        ExpressionKind::MethodCall { listener, name, arguments } => {
            format!("{}->{name}({})", shown(listener), list(arguments))
        }
    }
}

#[test]
fn operators_bind_as_in_the_engine() {
    assert_eq!(value("1 + 2 * 3"), "(1 Add (2 Multiply 3))");
    assert_eq!(value("1 - 2 - 3"), "((1 Subtract 2) Subtract 3)");
    assert_eq!(
        value("local.a == 1 && local.b < 2 || !local.c"),
        "(((local.a Equal 1) LogicalAnd (local.b Less 2)) LogicalOr !(local.c))"
    );
    // Other than in C, a comparison binds tighter than `&`.
    assert_eq!(value("1 & 2 == 2"), "(1 BitAnd (2 Equal 2))");
    assert_eq!(value("1 | 2 ^ 3 & 4"), "(1 BitOr (2 BitXor (3 BitAnd 4)))");
    assert_eq!(value("1 << 2 + 3"), "(1 ShiftLeft (2 Add 3))");
    assert_eq!(value("1 ? 2 : 3 ? 4 : 5"), "(1 ? 2 : (3 ? 4 : 5))");
    assert_eq!(value("(1 + 2) * 3"), "((1 Add 2) Multiply 3)");
}

#[test]
fn a_minus_is_a_sign_only_behind_white_space_and_before_none() {
    assert_eq!(value("-1"), "-(1)");
    assert_eq!(value("1 - 1"), "(1 Subtract 1)");
    assert_eq!(value("1-1"), "(1 Subtract 1)");
    assert_eq!(value("local.a-1"), "(local.a Subtract 1)");
    assert_eq!(value("( -1 -2 3 )"), "<-(1) -(2) 3>");
    refused("local.x = (-1)");
    refused("local.x = 1 -1");
}

#[test]
fn variables_fields_and_entities_are_read() {
    assert_eq!(value("local.a.b[1].c.size"), "local.a.b[1].c.SIZE");
    assert_eq!(value("level . time"), "level.time");
    assert_eq!(value("local.\"two words\""), "local.two words");
    assert_eq!(value("local.3rd"), "local.3rd");
    assert_eq!(value("$player[local.i].netname"), "$'player'[local.i].netname");
    assert_eq!(value("$(\"a\" + 1)"), "$('a' Add 1)");
    assert_eq!(value("-local.a.b"), "-(local.a.b)");
    assert_eq!(value("!local.a[1]"), "!(local.a[1])");
    assert_eq!(value("NULL"), "NULL");
    assert_eq!(value("NIL"), "NIL");
}

#[test]
fn numbers_and_words_are_told_apart() {
    assert_eq!(value("10"), "10");
    assert_eq!(value("0.5"), "0.5");
    assert_eq!(value(".5"), "0.5");
    assert_eq!(value("1e+2"), "100.0");
    assert_eq!(value("3d_model"), "'3d_model'");
    assert_eq!(value("models/weapons/m1_garand.tik"), "'models/weapons/m1_garand.tik'");
    assert_eq!(value("99999999999"), i32::MAX.to_string());
    assert_eq!(value("endarrays"), "'endarrays'");
}

#[test]
fn texts_have_escapes() {
    assert_eq!(value(r#""a\"b\\c\n\t\d""#), "'a\"b\\c\n\td'");
    assert_eq!(value(r#""""#), "''");
    // A text that is followed by a letter is the start of a word, quotes and all.
    assert_eq!(value(r#""a"b"#), "'\"a\"b'");
}

#[test]
fn a_word_with_arguments_is_a_call_and_alone_a_text() {
    assert_eq!(value("gettime"), "'gettime'");
    assert_eq!(value("gettime 0"), "gettime(0)");
    assert_eq!(value("waitthread f local.a local.b + 1"), "(waitthread('f' local.a local.b) Add 1)");
    assert_eq!(value("waitthread global/a.scr::f (1 + 2)"), "waitthread(['global/a.scr'::'f'] (1 Add 2))");
    assert_eq!(value("(typeof local.a) != \"listener\""), "(typeof(local.a) NotEqual 'listener')");
    assert_eq!(value("self getactiveweap 0"), "self->getactiveweap(0)");
    assert_eq!(value("!self isalive"), "!(self->isalive())");
    assert_eq!(value("!isalive self"), "!(isalive(self))");
    refused("local.x = !gettime");
}

#[test]
fn arrays_and_vectors_are_read() {
    assert_eq!(value("1::\"a\"::local.b"), "[1::'a'::local.b]");
    assert_eq!(value("one::two"), "['one'::'two']");
    assert_eq!(value("(1 2.5 local.z)"), "<1 2.5 local.z>");
    assert_eq!(value("((1 0 0) (0 1 0) 3)"), "<<1 0 0> <0 1 0> 3>");
    let lines = "makearray\n \"Content-Type\" \"text/plain\" // why\n\n 5\n local.a (1 2 3)\nendarray";
    assert_eq!(value(lines), "['Content-Type' 'text/plain' | 5 | local.a <1 2 3>]");
    refused("local.x = (1 2)");
    refused("local.x = (1 2 3 4)");
    refused("local.x = makearray\n 1\n");
}

#[test]
fn statements_of_every_kind_are_read() {
    let script = script(
        r#"
// a script
main local.a local.b:
    local.a = 1; local.b += 2
    local.a++
    local.b --
    local.c[1]["two"] -= 3
    if (local.a == 1) println "one"
    else if (local.a == 2)
    {
        println "two" ; println "too"
    }
    else
        println "more"
    if local.a end
    while (1) { waitframe; break }
    for (local.i = 0; local.i < 3; local.i++) { continue }
    for (; local.i < 3; local.i++ local.j++)
        wait .05
    do { wait 1 } while (local.a)
    switch (local.a)
    {
        case 1:
        case -2:
            break
        case "text":
            break
        default:
            println "?"
    }
    try
    {
        throw "x"
    }
    catch
    {
    }
    self.health = (self.health * 2)
    $bot thread attack local.a
    self waitthread global/a.scr::b \
        local.a
    level waittill roundstart
    {}
    /* a
       comment */
end local.a
second:
end
"#,
    );
    let names: Vec<&str> = script
        .body
        .iter()
        .map(|one| match &one.kind {
            StatementKind::Nothing => ";",
            StatementKind::Label { name, .. }
            | StatementKind::Command { name, .. }
            | StatementKind::Method { name, .. } => name,
            StatementKind::Case { .. } => "case",
            StatementKind::Block(_) => "{}",
            StatementKind::Assign { .. } => "=",
            StatementKind::If { .. } => "if",
            StatementKind::While { .. } => "while",
            StatementKind::DoWhile { .. } => "do",
            StatementKind::For { .. } => "for",
            StatementKind::Switch { .. } => "switch",
            StatementKind::Try { .. } => "try",
            StatementKind::Break => "break",
            StatementKind::Continue => "continue",
        })
        .collect();
    assert_eq!(
        names,
        [
            "main",
            "=",
            ";",
            "=",
            "=",
            "=",
            "=",
            "if",
            "if",
            "while",
            "for",
            "for",
            "do",
            "switch",
            "try",
            "=",
            "thread",
            "waitthread",
            "waittill",
            "{}",
            "end",
            "second",
            "end"
        ]
    );
    let StatementKind::Switch { body, .. } = &script.body[13].kind else { panic!("no switch") };
    let cases: Vec<&CaseValue> = body
        .iter()
        .filter_map(|one| match &one.kind {
            StatementKind::Case { value } => Some(value),
            _ => None,
        })
        .collect();
    let text = CaseValue::Text(b"text".as_slice().into());
    assert_eq!(cases, [&CaseValue::Integer(1), &CaseValue::Integer(-2), &text]);
}

#[test]
fn an_else_belongs_to_the_nearest_if() {
    let script = script("if (1)\n if (2)\n  a 1\n else\n  b 1\n");
    let StatementKind::If { then, otherwise: None, .. } = &script.body[0].kind else { panic!("{script:?}") };
    assert!(matches!(&then.kind, StatementKind::If { otherwise: Some(_), .. }), "{then:?}");
}

#[test]
fn an_assignment_with_a_step_says_its_operator() {
    let script = script("local.a *= 2\nlocal.b--");
    let operators: Vec<Option<Operator>> = script
        .body
        .iter()
        .map(|one| match &one.kind {
            StatementKind::Assign { operator, .. } => *operator,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(operators, [Some(Operator::Multiply), Some(Operator::Subtract)]);
}

#[test]
fn errors_say_where_and_what() {
    for (text, error) in [
        ("main:\n  if local.a == 1\n", "2:14: expected a value, found `==`"),
        ("main:\n  end local.a + 1", "2:15: expected a value, found `+`"),
        ("main:\n  local.x = (1 + \n", "3:1: expected a value, found the end of the script"),
        ("main:\n  {\n", "3:1: expected `}`, found the end of the script"),
        ("main:\n  println \"open\n", "2:11: a text that is not ended on its line"),
        ("/* for ever", "1:1: a comment that is not ended"),
        ("a\n*/", "2:1: `*/` outside of a comment"),
        ("a:\nend\na:\nend", "3:1: label `a` stands twice"),
        ("a 1:\nend", "1:3: a label's parameters are variables (`local.name`)"),
        ("local.size = 1", "1:6: `.size` can't be assigned to"),
        ("case (1 2 3):", "1:6: a case is a whole number or a text"),
        ("f (1, 2)", "1:5: expected `)` or an operator, found `,`"),
        ("else", "1:1: expected a statement, found `else`"),
        ("try { } println 1", "1:9: expected `catch` behind the block of `try`, found `println`"),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_and_no_stack_is_used_up() {
    let depth = 20_000;
    for text in [
        format!("local.x = {}1{}", "(".repeat(depth), ")".repeat(depth)),
        format!("{}{}", "{".repeat(depth), "}".repeat(depth)),
        format!("local.x = {}1", " !".repeat(depth)),
        format!("local.x = 1{}", " + 1".repeat(depth)),
        format!("local.x = local{}", ".a".repeat(depth)),
        format!("local.x = local.a{}", "[1]".repeat(depth)),
        format!("local.x = {}", "1 ? 2 : ".repeat(depth)),
        format!("{} a 1", "if (1) ".repeat(depth)),
        format!("local.x = {}", "$(".repeat(depth)),
        format!("f {}", "-".repeat(depth)),
        format!("f {}", " -".repeat(depth)),
    ] {
        if let Err(error) = parse(text.as_bytes()) {
            assert!(
                matches!(error.kind, SyntaxErrorKind::TooDeep | SyntaxErrorKind::Unexpected { .. }),
                "{error}"
            );
        }
    }
    assert!(parse(format!("local.x = 1{}", " + 1".repeat(900)).as_bytes()).is_ok());
}

/// Pieces of which scripts are made, so that what is put together by chance gets far.
const PIECES: [&str; 52] = [
    "main:",
    "\n",
    " ",
    "local.a",
    "local",
    ".",
    "level.time",
    "self",
    "$player",
    "$",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "1",
    "-1",
    " -1",
    " - ",
    "-",
    "0.5",
    ".5",
    "1e+3",
    "\"text\"",
    "\"",
    "\\",
    "\\\"",
    "=",
    "==",
    "+=",
    "++",
    " --",
    "!",
    "~",
    "::",
    ":",
    ";",
    "?",
    ",",
    "if ",
    "else ",
    "while ",
    "for ",
    "do ",
    "switch ",
    "case ",
    "try ",
    "catch ",
    "end ",
    "makearray\n",
    "endarray\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&text);
    }

    #[test]
    fn no_pieces_make_it_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..120)) {
        let _ = parse(pieces.concat().as_bytes());
    }

    #[test]
    fn an_error_is_within_the_text(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        let text = pieces.concat();
        if let Err(error) = parse(text.as_bytes()) {
            let lines = text.split('\n').count();
            prop_assert!((1..=lines as u32).contains(&error.position.line), "{error} of {lines} lines");
            prop_assert!(error.position.column >= 1);
        }
    }

    #[test]
    fn what_a_quoted_text_says_is_what_is_read(text in "[^\\\\\"\r\n\0]{0,40}") {
        let script = parse(format!("local.x = \"{text}\"\n").as_bytes());
        let Ok(script) = script else { panic!("{script:?}") };
        let StatementKind::Assign { value, .. } = &script.body[0].kind else { panic!("{script:?}") };
        prop_assert_eq!(&value.kind, &ExpressionKind::Text(text.as_bytes().into()));
    }
}
