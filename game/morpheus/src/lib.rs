//! Morpheus, the language of the scripts (`.scr`) that OpenMOHAA game servers run: a reader of the whole grammar, for
//! tests of the scripts in `game/`, and a machine that runs them.
//!
//! [`parse`] takes what the engine's own compiler takes (`code/parser/` of OpenMOHAA, from which the rules are learnt),
//! with its peculiarities: a `-` is a sign only behind white space, a word alone is a text and never a call, a line's end
//! separates statements but is not needed to, and a condition or an argument holds no operator outside parentheses.
//! What it refuses the engine would refuse as well, with the place of the error, but for one mistake: a text that is not
//! ended on its line, which the engine takes for a word. It never panics and never recurses
//! deeper than [`parser::MAX_DEPTH`], whatever the text.

pub mod ast;
mod lexer;
pub mod machine;
pub mod parser;
mod value;

use std::fmt;

pub use machine::{Call, Host, Machine};
pub use parser::parse;
pub use value::{Entity, Exception, Value};

/// Where something stands in a script. Both count from 1; columns are bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {kind}")]
pub struct SyntaxError {
    pub position: Position,
    pub kind: SyntaxErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxErrorKind {
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("a comment that is not ended")]
    OpenComment,
    #[error("`*/` outside of a comment")]
    StrayCommentEnd,
    #[error("a text that is not ended on its line")]
    OpenText,
    #[error("nested deeper than {} levels", parser::MAX_DEPTH)]
    TooDeep,
    #[error("label `{0}` stands twice")]
    DuplicateLabel(String),
    #[error("a label's parameters are variables (`local.name`)")]
    ParameterIsNoVariable,
    #[error("`{0}` can't be assigned to")]
    NotAssignable(&'static str),
    #[error("a case is a whole number or a text")]
    BadCase,
}
