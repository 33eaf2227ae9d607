//! Makes a tree of a script, by the rules of the engine's grammar (`bison_source.txt`).

use std::collections::HashSet;
use std::rc::Rc;

use crate::ast::{
    Block, CaseValue, Expression, ExpressionKind, Operator, Script, Statement, StatementKind, UnaryOperator,
};
use crate::lexer::{Keyword, Placed, Token, sign_of, tokens};
use crate::{Position, SyntaxError, SyntaxErrorKind};

/// How many blocks, statements and parentheses may stand within one another. Each takes a part of the stack.
pub const MAX_DEPTH: usize = 120;
/// How many operators, fields or indexes may follow one another in an expression: each makes the tree one level deeper.
const MAX_CHAIN: usize = 1000;

/// Reads a whole script.
pub fn parse(text: &[u8]) -> Result<Script, SyntaxError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let body = parser.statements_until(&Token::End, "a statement")?;
    check_labels(&body, &mut HashSet::new())?;
    Ok(Script { body })
}

struct Parser {
    /// The last is [`Token::End`].
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl Parser {
    /// Statements up to and with the token that ends them.
    fn statements_until(&mut self, end: &Token, expected: &'static str) -> Parsed<Block> {
        let mut block = Vec::new();
        loop {
            self.skip_line_end();
            if self.take(end) {
                return Ok(block);
            }
            if *self.peek() == Token::End {
                return Err(self.unexpected(expected));
            }
            block.push(self.statement()?);
            self.skip_line_end();
        }
    }

    /// A statement without the line ends around it.
    fn statement(&mut self) -> Parsed<Statement> {
        self.nested(|parser| {
            let position = parser.position();
            let kind = parser.statement_kind()?;
            Ok(Statement { position, kind })
        })
    }

    fn statement_kind(&mut self) -> Parsed<StatementKind> {
        match self.peek().clone() {
            Token::Word(name) => {
                self.advance();
                let arguments = self.arguments()?;
                if !self.take(&Token::Colon) {
                    return Ok(StatementKind::Command { name, arguments });
                }
                match arguments.iter().find(|one| !matches!(one.kind, ExpressionKind::Field { .. })) {
                    Some(bad) => Err(error(bad.position, SyntaxErrorKind::ParameterIsNoVariable)),
                    None => Ok(StatementKind::Label { name, parameters: arguments }),
                }
            }
            Token::Semicolon => {
                self.advance();
                Ok(StatementKind::Nothing)
            }
            Token::OpenBrace => Ok(StatementKind::Block(self.block()?)),
            Token::Keyword(keyword) => self.keyword(keyword),
            _ => self.assignment_or_method(),
        }
    }

    fn keyword(&mut self, keyword: Keyword) -> Parsed<StatementKind> {
        self.advance();
        match keyword {
            Keyword::Case => self.case(),
            Keyword::If => {
                let condition = self.argument()?;
                let then = Box::new(self.dependent_statement()?);
                let otherwise = match self.take(&Token::Keyword(Keyword::Else)) {
                    true => Some(Box::new(self.dependent_statement()?)),
                    false => None,
                };
                Ok(StatementKind::If { condition, then, otherwise })
            }
            Keyword::While => {
                let condition = self.argument()?;
                Ok(StatementKind::While { condition, body: Box::new(self.dependent_statement()?) })
            }
            Keyword::Do => {
                let body = Box::new(self.dependent_statement()?);
                self.expect(&Token::Keyword(Keyword::While), "`while` behind what `do` repeats")?;
                Ok(StatementKind::DoWhile { body, condition: self.argument()? })
            }
            Keyword::For => self.for_loop(),
            Keyword::Switch => {
                let value = self.argument()?;
                Ok(StatementKind::Switch { value, body: self.block()? })
            }
            Keyword::Try => {
                let body = self.block()?;
                self.skip_line_end();
                self.expect(&Token::Keyword(Keyword::Catch), "`catch` behind the block of `try`")?;
                Ok(StatementKind::Try { body, catch: self.block()? })
            }
            Keyword::Break => Ok(StatementKind::Break),
            Keyword::Continue => Ok(StatementKind::Continue),
            Keyword::Null | Keyword::Nil => {
                self.at -= 1;
                self.assignment_or_method()
            }
            Keyword::Else | Keyword::Catch | Keyword::MakeArray | Keyword::EndArray => {
                self.at -= 1;
                Err(self.unexpected("a statement"))
            }
        }
    }

    fn case(&mut self) -> Parsed<StatementKind> {
        let value = self.argument()?;
        let bad_case = error(value.position, SyntaxErrorKind::BadCase);
        let value = match value.kind {
            ExpressionKind::Integer(number) => CaseValue::Integer(number),
            ExpressionKind::Text(text) => CaseValue::Text(text),
            ExpressionKind::Unary { operator: UnaryOperator::Minus, operand } => match operand.kind {
                ExpressionKind::Integer(number) => CaseValue::Integer(number.wrapping_neg()),
                _ => return Err(bad_case),
            },
            _ => return Err(bad_case),
        };
        self.expect(&Token::Colon, "`:` behind a case")?;
        Ok(StatementKind::Case { value })
    }

    fn for_loop(&mut self) -> Parsed<StatementKind> {
        self.expect(&Token::OpenParenthesis, "`(` behind `for`")?;
        let before = match self.take(&Token::Semicolon) {
            true => None,
            false => {
                self.skip_line_end();
                let before = self.statement()?;
                self.skip_line_end();
                self.expect(&Token::Semicolon, "`;` behind the first part of `for`")?;
                Some(Box::new(before))
            }
        };
        let condition = self.expression()?;
        self.expect(&Token::Semicolon, "`;` behind the condition of `for`")?;
        let after = self.statements_until(&Token::CloseParenthesis, "`)` that ends `for (…)`")?;
        if after.is_empty() {
            self.at -= 1;
            return Err(self.unexpected("the step of `for`"));
        }
        let body = Box::new(self.dependent_statement()?);
        Ok(StatementKind::For { before, condition, after, body })
    }

    /// The statement that a condition or a loop is about, with the line ends around it and one `;` behind it.
    fn dependent_statement(&mut self) -> Parsed<Statement> {
        self.skip_line_end();
        let statement = self.statement()?;
        self.take(&Token::Semicolon);
        self.skip_line_end();
        Ok(statement)
    }

    fn block(&mut self) -> Parsed<Block> {
        self.skip_line_end();
        self.expect(&Token::OpenBrace, "`{`")?;
        self.statements_until(&Token::CloseBrace, "`}`")
    }

    fn assignment_or_method(&mut self) -> Parsed<StatementKind> {
        let target = self.value()?;
        let position = self.position();
        match self.peek().clone() {
            Token::Word(name) => {
                self.advance();
                Ok(StatementKind::Method { listener: target, name, arguments: self.arguments()? })
            }
            Token::Assign(operator) => {
                self.advance();
                let value = self.expression()?;
                assignment(target, operator, value)
            }
            step @ (Token::Increment | Token::Decrement) => {
                self.advance();
                let operator = if step == Token::Increment { Operator::Add } else { Operator::Subtract };
                assignment(target, Some(operator), Expression { position, kind: ExpressionKind::Integer(1) })
            }
            _ => Err(self.unexpected("a command or `=` behind a variable")),
        }
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.nested(|parser| {
            let condition = parser.binary(0)?;
            let position = parser.position();
            if !parser.take(&Token::Question) {
                return Ok(condition);
            }
            let then = Box::new(parser.expression()?);
            parser.expect(&Token::Colon, "`:` of `? :`")?;
            let otherwise = Box::new(parser.expression()?);
            let kind = ExpressionKind::Ternary { condition: Box::new(condition), then, otherwise };
            Ok(Expression { position, kind })
        })
    }

    fn binary(&mut self, loosest: u8) -> Parsed<Expression> {
        let mut left = self.operand()?;
        let mut chain = 0;
        while let Token::Operator(operator) = *self.peek()
            && operator.precedence() > loosest
        {
            self.within(&mut chain)?;
            let position = self.position();
            self.advance();
            let right = self.nested(|parser| parser.binary(operator.precedence()))?;
            let kind = ExpressionKind::Binary { operator, left: Box::new(left), right: Box::new(right) };
            left = Expression { position, kind };
        }
        Ok(left)
    }

    /// What stands between operators: calls are taken here, and only here.
    fn operand(&mut self) -> Parsed<Expression> {
        self.skip_line_end();
        let (operand, is_value) = self.call_or_value()?;
        match is_value {
            true => self.array_of(operand),
            false => Ok(operand),
        }
    }

    /// The second is false of a call and of whatever else `::` can't follow.
    fn call_or_value(&mut self) -> Parsed<(Expression, bool)> {
        let position = self.position();
        match self.peek().clone() {
            Token::Negate | Token::Complement | Token::Not => self.nested(|parser| {
                let operator = parser.unary_operator();
                if let Token::Word(_) = parser.peek()
                    && !parser.word_begins_call()
                {
                    parser.advance();
                    return Err(parser.unexpected("a variable, or arguments that make the word a command"));
                }
                let (operand, is_value) = parser.call_or_value()?;
                let kind = ExpressionKind::Unary { operator, operand: Box::new(operand) };
                Ok((Expression { position, kind }, is_value))
            }),
            Token::Keyword(Keyword::MakeArray) => {
                self.advance();
                Ok((Expression { position, kind: ExpressionKind::MakeArray(self.array_lines()?) }, false))
            }
            Token::Word(name) => {
                let begins_call = self.word_begins_call();
                self.advance();
                if *self.peek() == Token::DoubleColon || !begins_call {
                    return Ok((word_as_text(&name, position), *self.peek() == Token::DoubleColon));
                }
                let arguments = self.arguments()?;
                Ok((Expression { position, kind: ExpressionKind::Call { name, arguments } }, false))
            }
            _ => {
                let value = self.base()?;
                let position = self.position();
                match self.peek().clone() {
                    Token::Word(name) => {
                        self.advance();
                        let (listener, arguments) = (Box::new(value), self.arguments()?);
                        let kind = ExpressionKind::MethodCall { listener, name, arguments };
                        Ok((Expression { position, kind }, false))
                    }
                    _ => Ok((value, true)),
                }
            }
        }
    }

    /// Whether what follows the word at hand makes it a command with arguments.
    fn word_begins_call(&self) -> bool {
        begins_argument(self.peek_behind()) || *self.peek_behind() == Token::DoubleColon
    }

    fn array_lines(&mut self) -> Parsed<Vec<Vec<Expression>>> {
        let mut lines = Vec::new();
        loop {
            self.skip_line_end();
            if self.take(&Token::Keyword(Keyword::EndArray)) {
                return Ok(lines);
            }
            let line = self.arguments()?;
            if line.is_empty() {
                return Err(self.unexpected("a value or `endarray`"));
            }
            self.expect(&Token::LineEnd, "the end of an array's line")?;
            lines.push(line);
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Expression>> {
        let mut arguments = Vec::new();
        while begins_argument(self.peek()) {
            arguments.push(self.argument()?);
        }
        Ok(arguments)
    }

    /// An argument or a condition: no operator outside of parentheses.
    fn argument(&mut self) -> Parsed<Expression> {
        let first = self.element()?;
        self.array_of(first)
    }

    /// `a::b::c`, where `::` follows.
    fn array_of(&mut self, first: Expression) -> Parsed<Expression> {
        let position = self.position();
        if *self.peek() != Token::DoubleColon {
            return Ok(first);
        }
        let mut elements = vec![first];
        while self.take(&Token::DoubleColon) {
            elements.push(self.element()?);
        }
        Ok(Expression { position, kind: ExpressionKind::Array(elements) })
    }

    fn element(&mut self) -> Parsed<Expression> {
        let position = self.position();
        match self.peek().clone() {
            Token::Word(name) => {
                self.advance();
                Ok(word_as_text(&name, position))
            }
            _ => self.value(),
        }
    }

    /// A value without calls and operators, but with signs before it.
    fn value(&mut self) -> Parsed<Expression> {
        if !matches!(self.peek(), Token::Negate | Token::Complement | Token::Not) {
            return self.base();
        }
        self.nested(|parser| {
            let position = parser.position();
            let operator = parser.unary_operator();
            let operand = Box::new(parser.value()?);
            Ok(Expression { position, kind: ExpressionKind::Unary { operator, operand } })
        })
    }

    fn unary_operator(&mut self) -> UnaryOperator {
        let operator = match self.peek() {
            Token::Negate => UnaryOperator::Minus,
            Token::Complement => UnaryOperator::Complement,
            _ => UnaryOperator::Not,
        };
        self.advance();
        operator
    }

    /// A value with the fields and indexes behind it.
    fn base(&mut self) -> Parsed<Expression> {
        let mut value = self.innermost()?;
        let mut chain = 0;
        loop {
            let position = self.position();
            let kind = if self.take(&Token::Period) {
                let kind = match self.peek().clone() {
                    Token::Size => ExpressionKind::Size(Box::new(value)),
                    Token::Word(name) => ExpressionKind::Field { of: Box::new(value), name },
                    Token::Text(name) => {
                        let name = String::from_utf8_lossy(&name).into();
                        ExpressionKind::Field { of: Box::new(value), name }
                    }
                    _ => return Err(self.unexpected("a name behind `.`")),
                };
                self.advance();
                kind
            } else if self.take(&Token::OpenBracket) {
                let index = self.expression()?;
                self.expect(&Token::CloseBracket, "`]`")?;
                ExpressionKind::Index { of: Box::new(value), index: Box::new(index) }
            } else {
                return Ok(value);
            };
            self.within(&mut chain)?;
            value = Expression { position, kind };
        }
    }

    fn innermost(&mut self) -> Parsed<Expression> {
        let position = self.position();
        let kind = match self.peek().clone() {
            Token::Text(text) => ExpressionKind::Text(text),
            Token::Integer(number) => ExpressionKind::Integer(number),
            Token::Float(number) => ExpressionKind::Float(number),
            Token::Listener(name) => ExpressionKind::Listener(name),
            Token::Keyword(Keyword::Null) => ExpressionKind::Null,
            Token::Keyword(Keyword::Nil) => ExpressionKind::Nil,
            Token::Dollar => {
                self.advance();
                return self.target_name(position);
            }
            Token::OpenParenthesis => {
                self.advance();
                return self.parenthesis(position);
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.advance();
        Ok(Expression { position, kind })
    }

    fn target_name(&mut self, position: Position) -> Parsed<Expression> {
        let inner = self.position();
        let name = match self.peek().clone() {
            Token::Word(name) => word_as_text(&name, inner),
            Token::Text(text) => Expression { position: inner, kind: ExpressionKind::Text(text) },
            Token::OpenParenthesis => {
                self.advance();
                let name = self.expression()?;
                self.expect(&Token::CloseParenthesis, "`)`")?;
                return Ok(Expression { position, kind: ExpressionKind::TargetName(Box::new(name)) });
            }
            _ => return Err(self.unexpected("a name behind `$`")),
        };
        self.advance();
        Ok(Expression { position, kind: ExpressionKind::TargetName(Box::new(name)) })
    }

    /// `(a)` is a, `(a b c)` a vector.
    fn parenthesis(&mut self, position: Position) -> Parsed<Expression> {
        let first = self.expression()?;
        let at_line_end = self.at;
        self.skip_line_end();
        if self.take(&Token::CloseParenthesis) {
            return Ok(first);
        }
        self.at = at_line_end;
        if !begins_argument(self.peek()) && *self.peek() != Token::LineEnd {
            return Err(self.unexpected("`)` or an operator"));
        }
        let (second, third) = (self.expression()?, self.expression()?);
        self.expect(&Token::CloseParenthesis, "`)` behind the three numbers of a vector")?;
        Ok(Expression { position, kind: ExpressionKind::Vector(Box::new([first, second, third])) })
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(error(self.position(), SyntaxErrorKind::TooDeep));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn within(&self, chain: &mut usize) -> Parsed<()> {
        *chain += 1;
        match *chain > MAX_CHAIN {
            true => Err(error(self.position(), SyntaxErrorKind::TooDeep)),
            false => Ok(()),
        }
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn peek_behind(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].token
    }

    fn position(&self) -> Position {
        self.tokens[self.at].position
    }

    /// Never past the last token.
    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn take(&mut self, token: &Token) -> bool {
        let fits = self.peek() == token;
        if fits {
            self.advance();
        }
        fits
    }

    fn skip_line_end(&mut self) {
        self.take(&Token::LineEnd);
    }

    fn expect(&mut self, token: &Token, expected: &'static str) -> Parsed<()> {
        match self.take(token) {
            true => Ok(()),
            false => Err(self.unexpected(expected)),
        }
    }

    fn unexpected(&self, expected: &'static str) -> SyntaxError {
        let found = match self.peek() {
            Token::End => "the end of the script".to_owned(),
            Token::LineEnd => "the end of the line".to_owned(),
            Token::Word(word) => format!("`{word}`"),
            Token::Text(text) => format!("\"{}\"", String::from_utf8_lossy(text)),
            Token::Integer(number) => number.to_string(),
            Token::Float(number) => number.to_string(),
            Token::Keyword(keyword) => format!("`{}`", format!("{keyword:?}").to_lowercase()),
            Token::Listener(listener) => format!("`{}`", format!("{listener:?}").to_lowercase()),
            other => match sign_of(other) {
                Some(sign) => format!("`{sign}`"),
                None => format!("{other:?}"),
            },
        };
        error(self.position(), SyntaxErrorKind::Unexpected { expected, found })
    }
}

fn error(position: Position, kind: SyntaxErrorKind) -> SyntaxError {
    SyntaxError { position, kind }
}

fn word_as_text(word: &Rc<str>, position: Position) -> Expression {
    Expression { position, kind: ExpressionKind::Text(word.as_bytes().into()) }
}

fn assignment(target: Expression, operator: Option<Operator>, value: Expression) -> Parsed<StatementKind> {
    let what = match target.kind {
        ExpressionKind::Field { .. } | ExpressionKind::Index { .. } => {
            return Ok(StatementKind::Assign { target, operator, value });
        }
        ExpressionKind::Size(_) => ".size",
        ExpressionKind::Listener(_) => "a listener",
        ExpressionKind::TargetName(_) => "$name",
        _ => "a value",
    };
    Err(error(target.position, SyntaxErrorKind::NotAssignable(what)))
}

fn begins_argument(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(_)
            | Token::Text(_)
            | Token::Integer(_)
            | Token::Float(_)
            | Token::Listener(_)
            | Token::Keyword(Keyword::Null | Keyword::Nil)
            | Token::Dollar
            | Token::OpenParenthesis
            | Token::Negate
            | Token::Complement
            | Token::Not
    )
}

/// Labels are one set for the whole script, whatever they stand in, but for those of a `switch`.
fn check_labels(block: &[Statement], seen: &mut HashSet<Rc<str>>) -> Parsed<()> {
    for statement in block {
        match &statement.kind {
            StatementKind::Label { name, .. } if !seen.insert(name.clone()) => {
                return Err(error(statement.position, SyntaxErrorKind::DuplicateLabel(name.to_string())));
            }
            StatementKind::Block(body) => check_labels(body, seen)?,
            StatementKind::Switch { body, .. } => check_labels(body, &mut HashSet::new())?,
            StatementKind::Try { body, catch } => {
                check_labels(body, seen)?;
                check_labels(catch, seen)?;
            }
            StatementKind::If { then, otherwise, .. } => {
                check_labels(std::slice::from_ref(then), seen)?;
                if let Some(otherwise) = otherwise {
                    check_labels(std::slice::from_ref(otherwise), seen)?;
                }
            }
            StatementKind::While { body, .. }
            | StatementKind::DoWhile { body, .. }
            | StatementKind::For { body, .. } => check_labels(std::slice::from_ref(body), seen)?,
            _ => {}
        }
    }
    Ok(())
}
