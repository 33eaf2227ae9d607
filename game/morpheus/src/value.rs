//! Values of a running script, and what the engine's operators make of them (`scriptvariable.cpp`).

use std::cell::RefCell;
use std::rc::Rc;

use crate::ast::{Bytes, Operator};

/// An entity or another thing that has fields: an index into the machine's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entity(pub(crate) usize);

#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Nil,
    Integer(i32),
    Float(f32),
    Char(u8),
    Text(Bytes),
    Vector([f32; 3]),
    /// None is `NULL`, also of an entity that is gone.
    Listener(Option<Entity>),
    /// Made by `variable[key] = value`.
    Map(Rc<RefCell<Vec<(Value, Value)>>>),
    /// Made by `a::b` and `makearray`; counts from 1.
    Array(Rc<[Value]>),
}

/// What a script raises, and `try` catches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception(pub String);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.as_bytes().into())
    }
}

impl From<&[u8]> for Value {
    fn from(text: &[u8]) -> Self {
        Value::Text(text.into())
    }
}

impl Value {
    /// As `typeof` says it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "none",
            Value::Integer(_) => "int",
            Value::Float(_) => "float",
            Value::Char(_) => "char",
            Value::Text(_) => "string",
            Value::Vector(_) => "vector",
            Value::Listener(_) => "listener",
            Value::Map(_) => "array",
            Value::Array(_) => "const array",
        }
    }

    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil | Value::Listener(None) => false,
            Value::Integer(number) => *number != 0,
            Value::Float(number) => number.abs() >= 0.0001,
            Value::Text(text) => !text.is_empty(),
            Value::Char(_) | Value::Vector(_) | Value::Listener(_) | Value::Map(_) | Value::Array(_) => true,
        }
    }

    /// As text; numbers with a fraction have three decimals, like in the engine.
    pub fn text(&self) -> Bytes {
        match self {
            Value::Text(text) => text.clone(),
            Value::Char(byte) => Bytes::from([*byte].as_slice()),
            Value::Nil => Bytes::from(b"NIL".as_slice()),
            Value::Integer(number) => number.to_string().into_bytes().into(),
            Value::Float(number) => float_text(*number).into_bytes().into(),
            Value::Vector([x, y, z]) => {
                let text = format!("( {} {} {} )", float_text(*x), float_text(*y), float_text(*z));
                text.into_bytes().into()
            }
            Value::Listener(None) => Bytes::from(b"NULL".as_slice()),
            // The engine says its targetname, which players have none of.
            Value::Listener(Some(_)) => Bytes::from(b"".as_slice()),
            Value::Map(_) | Value::Array(_) => format!("Type: '{}'", self.type_name()).into_bytes().into(),
        }
    }

    pub fn integer(&self) -> Result<i32, Exception> {
        match self {
            Value::Integer(number) => Ok(*number),
            Value::Float(number) => Ok(*number as i32),
            // As C's `atoi`: what follows the digits does not count.
            Value::Text(text) => Ok(leading_integer(text)),
            other => Err(Exception(format!("cannot cast '{}' to int", other.type_name()))),
        }
    }

    pub fn float(&self) -> Result<f32, Exception> {
        match self {
            Value::Integer(number) => Ok(*number as f32),
            Value::Float(number) => Ok(*number),
            Value::Text(text) => Ok(String::from_utf8_lossy(text).trim().parse().unwrap_or(0.0)),
            other => Err(Exception(format!("cannot cast '{}' to float", other.type_name()))),
        }
    }

    pub(crate) fn size(&self) -> i32 {
        let length = match self {
            Value::Nil => return -1,
            Value::Text(text) => text.len(),
            Value::Listener(listener) => usize::from(listener.is_some()),
            Value::Map(entries) => entries.borrow().len(),
            Value::Array(values) => values.len(),
            _ => 1,
        };
        i32::try_from(length).unwrap_or(i32::MAX)
    }

    pub(crate) fn at(&self, index: &Value) -> Result<Value, Exception> {
        let place = |from: i32, length: usize| -> Result<usize, Exception> {
            let place = index.integer()?.wrapping_sub(from);
            let in_range = usize::try_from(place).ok().filter(|place| *place < length);
            in_range
                .ok_or_else(|| Exception(format!("array index {} out of range", place.wrapping_add(from))))
        };
        match self {
            Value::Nil => Ok(Value::Nil),
            Value::Text(text) => Ok(Value::Char(text[place(0, text.len())?])),
            Value::Vector(numbers) => Ok(Value::Float(numbers[place(0, 3)?])),
            Value::Array(values) => Ok(values[place(1, values.len())?].clone()),
            Value::Listener(_) => place(1, 1).map(|_| self.clone()),
            Value::Map(entries) => {
                let entries = entries.borrow();
                let entry = entries.iter().find(|(key, _)| key.equals(index));
                Ok(entry.map(|(_, value)| value.clone()).unwrap_or_default())
            }
            other => Err(Exception(format!("[] applied to invalid type '{}'", other.type_name()))),
        }
    }

    /// `self[key] = value`
    pub(crate) fn set_at(&mut self, key: Value, value: Value) -> Result<(), Exception> {
        if matches!(self, Value::Nil) {
            *self = Value::Map(Rc::default());
        }
        let Value::Map(entries) = self else {
            return Err(Exception(format!("[] = applied to invalid type '{}'", self.type_name())));
        };
        let mut entries = entries.borrow_mut();
        entries.retain(|(other, _)| !other.equals(&key));
        if !matches!(value, Value::Nil) {
            entries.push((key, value));
        }
        Ok(())
    }

    /// `==`: never an exception, and false where the kinds can't be compared.
    pub fn equals(&self, other: &Value) -> bool {
        use Value::{Char, Float, Integer, Listener, Nil, Text, Vector};
        match (self, other) {
            (Nil, Nil) => true,
            (Listener(left), Listener(right)) => left == right,
            (Integer(left), Integer(right)) => left == right,
            (Integer(_) | Float(_), Integer(_) | Float(_)) => {
                matches!((self.float(), other.float()), (Ok(left), Ok(right)) if (left - right).abs() < 0.0001)
            }
            (Char(left), Char(right)) => left == right,
            (Vector(left), Vector(right)) => {
                left.iter().zip(right).all(|(left, right)| (left - right).abs() < 0.0001)
            }
            (Text(_), Text(_) | Integer(_) | Float(_) | Char(_) | Listener(_) | Vector(_))
            | (Integer(_) | Float(_) | Char(_) | Listener(_) | Vector(_), Text(_)) => {
                self.text() == other.text()
            }
            _ => false,
        }
    }

    /// All operators but `&&` and `||`, which don't always look at their right side.
    pub(crate) fn combine(&self, operator: Operator, other: &Value) -> Result<Value, Exception> {
        use Value::{Char, Float, Integer, Listener, Text, Vector};
        let mismatch = || {
            let (left, right) = (self.type_name(), other.type_name());
            Exception(format!("binary '{operator:?}' applied to incompatible types '{left}' and '{right}'"))
        };
        let truth = |holds: bool| Ok(Integer(i32::from(holds)));
        match operator {
            Operator::Equal => return truth(self.equals(other)),
            Operator::NotEqual => return truth(!self.equals(other)),
            _ => {}
        }
        match (self, other) {
            (Integer(left), Integer(right)) => integers(operator, *left, *right),
            (Integer(_) | Float(_), Integer(_) | Float(_)) => {
                floats(operator, self.float()?, other.float()?).ok_or_else(mismatch)
            }
            (Vector(left), Vector(right)) if operator == Operator::Add => {
                Ok(Vector([left[0] + right[0], left[1] + right[1], left[2] + right[2]]))
            }
            (Vector(left), Vector(right)) if operator == Operator::Subtract => {
                Ok(Vector([left[0] - right[0], left[1] - right[1], left[2] - right[2]]))
            }
            // NIL is no text: to add it is an error of the script's.
            (Text(_), Text(_) | Integer(_) | Float(_) | Char(_) | Listener(_) | Vector(_))
            | (Integer(_) | Float(_) | Char(_) | Listener(_) | Vector(_), Text(_))
                if operator == Operator::Add =>
            {
                Ok(Text([self.text(), other.text()].concat().into()))
            }
            _ => Err(mismatch()),
        }
    }
}

fn integers(operator: Operator, left: i32, right: i32) -> Result<Value, Exception> {
    let number = match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Subtract => left.wrapping_sub(right),
        Operator::Multiply => left.wrapping_mul(right),
        Operator::Divide | Operator::Remainder if right == 0 => {
            return Err(Exception("Division by zero error".to_owned()));
        }
        Operator::Divide => left.wrapping_div(right),
        Operator::Remainder => left.wrapping_rem(right),
        Operator::BitAnd => left & right,
        Operator::BitOr => left | right,
        Operator::BitXor => left ^ right,
        Operator::ShiftLeft => left.wrapping_shl(right as u32),
        Operator::ShiftRight => left.wrapping_shr(right as u32),
        Operator::Less => i32::from(left < right),
        Operator::LessOrEqual => i32::from(left <= right),
        Operator::Greater => i32::from(left > right),
        Operator::GreaterOrEqual => i32::from(left >= right),
        Operator::Equal | Operator::NotEqual | Operator::LogicalAnd | Operator::LogicalOr => {
            return Err(Exception("not an operator of numbers".to_owned()));
        }
    };
    Ok(Value::Integer(number))
}

fn floats(operator: Operator, left: f32, right: f32) -> Option<Value> {
    let number = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
        Operator::Less => return Some(Value::Integer(i32::from(left < right))),
        Operator::LessOrEqual => return Some(Value::Integer(i32::from(left <= right))),
        Operator::Greater => return Some(Value::Integer(i32::from(left > right))),
        Operator::GreaterOrEqual => return Some(Value::Integer(i32::from(left >= right))),
        _ => return None,
    };
    Some(Value::Float(number))
}

/// `%.3f`
fn float_text(number: f32) -> String {
    match number {
        number if number.is_nan() => "nan".to_owned(),
        number if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.to_owned(),
        number => format!("{number:.3}"),
    }
}

fn leading_integer(text: &[u8]) -> i32 {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_start();
    let digits_from = usize::from(text.starts_with(['-', '+']));
    let digits = text[digits_from..].bytes().take_while(u8::is_ascii_digit).count();
    text[..digits_from + digits].parse().unwrap_or(0)
}
