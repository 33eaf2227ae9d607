//! Cuts a script into tokens as the engine's scanner (`lex_source.txt`) does, whose longest match wins.
//!
//! What follows a listener word, a `$`, a `.` of a variable or a closing bracket is read by other rules than the rest:
//! there a `.` is a token of its own, elsewhere it is a part of the word it stands in (`global/tracker.scr`, `.3`).

use std::rc::Rc;

use crate::ast::{Bytes, ListenerName, Operator};
use crate::{Position, SyntaxError, SyntaxErrorKind};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// The end of one or more lines.
    LineEnd,
    Word(Rc<str>),
    Text(Bytes),
    Integer(i32),
    Float(f32),
    Listener(ListenerName),
    Keyword(Keyword),
    Operator(Operator),
    /// `=` or, with an operator, `+=` and the like.
    Assign(Option<Operator>),
    Increment,
    Decrement,
    /// A `-` behind white space and before none.
    Negate,
    Not,
    Complement,
    Dollar,
    Period,
    /// `.size` without its period.
    Size,
    Comma,
    Colon,
    DoubleColon,
    Semicolon,
    Question,
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    If,
    Else,
    While,
    For,
    Do,
    Null,
    Nil,
    Try,
    Catch,
    Switch,
    Case,
    Break,
    Continue,
    MakeArray,
    EndArray,
}

#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) position: Position,
}

/// Which rules the next token is read by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    /// Within `local.name.name`.
    Variable,
    /// Behind a closing bracket, which a variable may go on from.
    AfterBracket,
}

/// All tokens of the text; the last is [`Token::End`], and a line end stands before it.
pub(crate) fn tokens(text: &[u8]) -> Result<Vec<Placed>, SyntaxError> {
    let mut lexer = Lexer { text, at: 0, line: 1, line_start: 0, mode: Mode::Plain, tokens: Vec::new() };
    while lexer.at < text.len() {
        lexer.step()?;
    }
    lexer.line_end(lexer.position());
    lexer.push(Token::End, lexer.position());
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    /// Where the line begins on which `at` is.
    line_start: usize,
    mode: Mode,
    tokens: Vec<Placed>,
}

/// Signs, of which the longest that fits is meant. Those that may have a space before them have it as a part.
const SIGNS: [(&[u8], Token); 44] = [
    (b"<<=", Token::Assign(Some(Operator::ShiftLeft))),
    (b">>=", Token::Assign(Some(Operator::ShiftRight))),
    (b"<<", Token::Operator(Operator::ShiftLeft)),
    (b">>", Token::Operator(Operator::ShiftRight)),
    (b"<=", Token::Operator(Operator::LessOrEqual)),
    (b">=", Token::Operator(Operator::GreaterOrEqual)),
    (b"==", Token::Operator(Operator::Equal)),
    (b"!=", Token::Operator(Operator::NotEqual)),
    (b"||", Token::Operator(Operator::LogicalOr)),
    (b"&&", Token::Operator(Operator::LogicalAnd)),
    (b"+=", Token::Assign(Some(Operator::Add))),
    (b"-=", Token::Assign(Some(Operator::Subtract))),
    (b"*=", Token::Assign(Some(Operator::Multiply))),
    (b"/=", Token::Assign(Some(Operator::Divide))),
    (b"%=", Token::Assign(Some(Operator::Remainder))),
    (b"&=", Token::Assign(Some(Operator::BitAnd))),
    (b"^=", Token::Assign(Some(Operator::BitXor))),
    (b"|=", Token::Assign(Some(Operator::BitOr))),
    (b"++", Token::Increment),
    (b"--", Token::Decrement),
    (b"::", Token::DoubleColon),
    (b"{", Token::OpenBrace),
    (b"}", Token::CloseBrace),
    (b"(", Token::OpenParenthesis),
    (b")", Token::CloseParenthesis),
    (b"[", Token::OpenBracket),
    (b"]", Token::CloseBracket),
    (b"=", Token::Assign(None)),
    (b":", Token::Colon),
    (b";", Token::Semicolon),
    (b"|", Token::Operator(Operator::BitOr)),
    (b"^", Token::Operator(Operator::BitXor)),
    (b"&", Token::Operator(Operator::BitAnd)),
    (b"<", Token::Operator(Operator::Less)),
    (b">", Token::Operator(Operator::Greater)),
    (b"+", Token::Operator(Operator::Add)),
    (b"-", Token::Operator(Operator::Subtract)),
    (b"*", Token::Operator(Operator::Multiply)),
    (b"/", Token::Operator(Operator::Divide)),
    (b"%", Token::Operator(Operator::Remainder)),
    (b"?", Token::Question),
    (b"!", Token::Not),
    (b"~", Token::Complement),
    (b",", Token::Comma),
];

impl Lexer<'_> {
    fn step(&mut self) -> Result<(), SyntaxError> {
        let start = self.position();
        if self.mode != Mode::Plain && self.variable(start)? {
            return Ok(());
        }
        self.mode = Mode::Plain;
        let rest = self.rest();
        match rest {
            [b'\r' | b'\n', ..] => {
                self.advance(rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count());
                self.line_end(start);
            }
            [b' ' | b'\t', b'+', b'+', ..] => self.sign(3, Token::Increment, start),
            [b' ' | b'\t', b'-', b'-', ..] => self.sign(3, Token::Decrement, start),
            [b' ' | b'\t', b'-', b'=', ..] => {
                self.sign(3, Token::Assign(Some(Operator::Subtract)), start);
            }
            [b' ' | b'\t', b'-', b' ' | b'\t', ..] => {
                self.sign(3, Token::Operator(Operator::Subtract), start)
            }
            [b' ' | b'\t', b'-', ..] => self.sign(2, Token::Negate, start),
            [b' ' | b'\t', ..] => self.advance(1),
            [b'/', b'*', ..] => self.comment(start)?,
            [b'*', b'/', ..] => return Err(error(start, SyntaxErrorKind::StrayCommentEnd)),
            [b'/', b'/', ..] => {
                self.advance(rest.iter().take_while(|byte| !matches!(byte, b'\r' | b'\n')).count());
                self.line_end(start);
            }
            [b'\\', b'\r' | b'\n', ..] => {
                self.advance(1 + rest[1..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count());
            }
            [b'$', ..] => {
                self.sign(rest.iter().take_while(|byte| **byte == b'$').count(), Token::Dollar, start);
                self.mode = Mode::Variable;
            }
            [b'"', ..] => self.text(start)?,
            [b'0'..=b'9' | b'.', ..] => self.number(start),
            // Before words: a word may begin with what is no sign, but with no sign.
            _ => match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
                Some((sign, token)) => {
                    self.sign(sign.len(), token.clone(), start);
                    if matches!(token, Token::CloseParenthesis | Token::CloseBracket) {
                        self.mode = Mode::AfterBracket;
                    }
                }
                None => self.word(start),
            },
        }
        Ok(())
    }

    /// A token of a variable; false where none begins here.
    fn variable(&mut self, start: Position) -> Result<bool, SyntaxError> {
        let rest = self.rest();
        let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if rest.get(spaces) == Some(&b'.') {
            let after = &rest[spaces + 1..];
            let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            // `local.3` is no variable: it must go on with something else than digits.
            if after.get(digits).is_some_and(|byte| !byte.is_ascii_whitespace()) {
                self.sign(spaces + 1, Token::Period, start);
                self.mode = Mode::Variable;
                return Ok(true);
            }
        }
        if self.mode == Mode::AfterBracket {
            return Ok(false);
        }
        let length = rest.iter().take_while(|byte| is_variable_part(**byte)).count();
        let quoted = quoted_length(rest).unwrap_or(0);
        if quoted >= length && quoted > 0 {
            self.push(Token::Text(unescape(&rest[1..quoted - 1])), start);
            self.advance(quoted);
            self.mode = Mode::Plain;
            return Ok(true);
        }
        if length == 0 {
            return Ok(false);
        }
        if &rest[..length] == b"size" {
            self.sign(length, Token::Size, start);
            self.mode = Mode::Plain;
            return Ok(true);
        }
        let word = Token::Word(word_of(&unescape(&rest[..length])));
        self.sign(length, word, start);
        self.mode = Mode::Variable;
        Ok(true)
    }

    fn comment(&mut self, start: Position) -> Result<(), SyntaxError> {
        let rest = &self.rest()[2..];
        match rest.windows(2).position(|pair| pair == b"*/") {
            Some(length) => {
                self.advance(2 + length + 2);
                Ok(())
            }
            None => Err(error(start, SyntaxErrorKind::OpenComment)),
        }
    }

    /// A text, or a word that begins with one (`"a"b`).
    fn text(&mut self, start: Position) -> Result<(), SyntaxError> {
        let rest = self.rest();
        let Some(length) = quoted_length(rest) else {
            return Err(error(start, SyntaxErrorKind::OpenText));
        };
        let goes_on = rest.get(length).is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || b"_\"'?@#`.".contains(byte) || !byte.is_ascii()
        });
        if goes_on {
            let word = length + word_length(&rest[length..]);
            let token = Token::Word(word_of(&unescape(&rest[..word])));
            self.sign(word, token, start);
        } else {
            self.push(Token::Text(unescape(&rest[1..length - 1])), start);
            self.advance(length);
        }
        Ok(())
    }

    fn number(&mut self, start: Position) {
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let is_whole = !rest[..length].contains(&b'.');
        let exponent = exponent_length(&rest[length..]);
        let begins_a_word = rest
            .get(length)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || b"_\"'?@#`".contains(byte) || !byte.is_ascii());
        if exponent > 0 {
            let float = float_of(&rest[..length + exponent]);
            self.sign(length + exponent, Token::Float(float), start);
        } else if begins_a_word {
            let word = length + word_length(&rest[length..]);
            let token = Token::Word(word_of(&unescape(&rest[..word])));
            self.sign(word, token, start);
        } else if &rest[..length] == b"." {
            self.sign(1, Token::Period, start);
        } else if is_whole {
            let integer = std::str::from_utf8(&rest[..length]).ok().and_then(|digits| digits.parse().ok());
            self.sign(length, Token::Integer(integer.unwrap_or(i32::MAX)), start);
        } else {
            let float = float_of(&rest[..length]);
            self.sign(length, Token::Float(float), start);
        }
    }

    fn word(&mut self, start: Position) {
        let rest = self.rest();
        let head = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        // A keyword is one also where a sign follows that would belong to a word: `end-1`.
        let keyword = match &rest[..head] {
            b"if" => Some(Token::Keyword(Keyword::If)),
            b"else" => Some(Token::Keyword(Keyword::Else)),
            b"while" => Some(Token::Keyword(Keyword::While)),
            b"for" => Some(Token::Keyword(Keyword::For)),
            b"do" => Some(Token::Keyword(Keyword::Do)),
            b"NULL" => Some(Token::Keyword(Keyword::Null)),
            b"NIL" => Some(Token::Keyword(Keyword::Nil)),
            b"try" => Some(Token::Keyword(Keyword::Try)),
            b"catch" => Some(Token::Keyword(Keyword::Catch)),
            b"switch" => Some(Token::Keyword(Keyword::Switch)),
            b"case" => Some(Token::Keyword(Keyword::Case)),
            b"break" => Some(Token::Keyword(Keyword::Break)),
            b"continue" => Some(Token::Keyword(Keyword::Continue)),
            b"makearray" | b"makeArray" => Some(Token::Keyword(Keyword::MakeArray)),
            b"endarray" | b"endArray" => Some(Token::Keyword(Keyword::EndArray)),
            b"end" => Some(Token::Word("end".into())),
            b"ifequal" | b"ifstrequal" => Some(Token::Operator(Operator::Equal)),
            b"ifnotequal" | b"ifstrnotequal" => Some(Token::Operator(Operator::NotEqual)),
            b"ifless" => Some(Token::Operator(Operator::Less)),
            b"iflessequal" => Some(Token::Operator(Operator::LessOrEqual)),
            b"ifgreater" => Some(Token::Operator(Operator::Greater)),
            b"ifgreaterequal" => Some(Token::Operator(Operator::GreaterOrEqual)),
            _ => None,
        };
        let listener = match &rest[..head] {
            b"game" => Some(ListenerName::Game),
            b"group" => Some(ListenerName::Group),
            b"level" => Some(ListenerName::Level),
            b"local" => Some(ListenerName::Local),
            b"parm" => Some(ListenerName::Parm),
            b"owner" => Some(ListenerName::Owner),
            b"self" => Some(ListenerName::SelfEntity),
            _ => None,
        };
        if let Some(keyword) = keyword {
            self.sign(head, keyword, start);
        } else if let Some(listener) = listener {
            self.sign(head, Token::Listener(listener), start);
            self.mode = Mode::Variable;
        } else {
            let length = word_length(rest).max(1);
            let token = Token::Word(word_of(&unescape(&rest[..length])));
            self.sign(length, token, start);
        }
    }

    fn sign(&mut self, length: usize, token: Token, start: Position) {
        self.advance(length);
        self.push(token, start);
    }

    fn line_end(&mut self, start: Position) {
        if !matches!(self.tokens.last(), Some(Placed { token: Token::LineEnd, .. })) {
            self.push(Token::LineEnd, start);
        }
    }

    fn push(&mut self, token: Token, position: Position) {
        self.tokens.push(Placed { token, position });
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    fn advance(&mut self, length: usize) {
        let end = (self.at + length).min(self.text.len());
        for at in self.at..end {
            // A carriage return alone ends no line of an editor.
            if self.text[at] == b'\n' {
                self.line += 1;
                self.line_start = at + 1;
            }
        }
        self.at = end;
    }

    fn position(&self) -> Position {
        let column = (self.at - self.line_start + 1).try_into().unwrap_or(u32::MAX);
        Position { line: self.line, column }
    }
}

/// How a sign is written.
pub(crate) fn sign_of(token: &Token) -> Option<&'static str> {
    let (sign, _) = SIGNS.iter().find(|(_, other)| other == token)?;
    std::str::from_utf8(sign).ok()
}

fn error(position: Position, kind: SyntaxErrorKind) -> SyntaxError {
    SyntaxError { position, kind }
}

/// Length of the quoted text at the start, with its quotes; none where no quote ends it on its line.
fn quoted_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\r' | b'\n' => return None,
            b'\\' => match text.get(at + 1)? {
                b'\n' => return None,
                _ => at += 2,
            },
            _ => at += 1,
        }
    }
}

fn word_length(text: &[u8]) -> usize {
    text.iter().take_while(|byte| !b"{}()[]\r\n,:; \t".contains(byte)).count()
}

fn is_variable_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_\"$\\".contains(&byte)
}

/// Length of `e+` or `e-`, once or more, and the digit or point behind: the scanner takes one.
fn exponent_length(text: &[u8]) -> usize {
    let mut length = 0;
    while matches!(&text[length..], [b'e', b'+' | b'-', ..]) {
        length += 2;
    }
    match text.get(length) {
        Some(byte) if length > 0 && (byte.is_ascii_digit() || *byte == b'.') => length + 1,
        _ => 0,
    }
}

/// More digits than a float can tell apart.
const LONGEST_FLOAT: usize = 64;

/// As C's `strtof`: the longest start of the text that is a number, and 0 without any.
fn float_of(text: &[u8]) -> f32 {
    (1..=text.len().min(LONGEST_FLOAT))
        .rev()
        .filter_map(|length| std::str::from_utf8(&text[..length]).ok()?.parse().ok())
        .next()
        .unwrap_or(0.0)
}

fn word_of(bytes: &[u8]) -> Rc<str> {
    String::from_utf8_lossy(bytes).into()
}

/// `\n` and `\t` are what they are in C; any other character behind a backslash stands for itself.
fn unescape(text: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        let meant = match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(&other) => other,
                None => break,
            },
            _ => byte,
        };
        bytes.push(meant);
    }
    bytes.into()
}
