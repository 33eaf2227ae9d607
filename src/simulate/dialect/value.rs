//! Values of an event's fields, and their spelling as form text and JSON.

use std::io::Write;

/// Numbers keep what they are until they are written, because each dialect spells them in its own way.
#[derive(Clone, Debug)]
pub enum Value {
    /// Raw bytes, not necessarily UTF-8.
    Text(Vec<u8>),
    /// A measure that string dialects send as `"37.900"`.
    Measure(f64),
    /// A whole number that string dialects send as text.
    Whole(i64),
    /// A number that is a native number in every JSON dialect.
    Native(f64),
    /// A whole number that is a native number in every JSON dialect.
    Count(i64),
    Flag(bool),
    /// A measure that the game's C library printed as `nan`.
    NotANumber,
    Object(Fields),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into_bytes())
    }
}

/// Fields in the order in which they are sent.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.0.push((key.into(), value.into()));
        self
    }

    pub fn append(&mut self, other: Fields) {
        self.0.extend(other.0);
    }

    /// `k=v&k=v`, unescaped as the scripts do it.
    pub fn write_form(&self, out: &mut Vec<u8>) {
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b'&');
            }
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            match value {
                Value::Text(text) => out.extend_from_slice(text),
                Value::Measure(number) | Value::Native(number) => put_text(out, format_args!("{number:.3}")),
                Value::Whole(number) | Value::Count(number) => put_text(out, format_args!("{number}")),
                Value::Flag(flag) => out.push(if *flag { b'1' } else { b'0' }),
                Value::NotANumber => out.extend_from_slice(b"nan"),
                // Form text has no nesting, and no sentence of a form dialect holds an object.
                Value::Object(_) => {}
            }
        }
    }

    /// A JSON object, on one line.
    pub fn write_json(&self, numbers: Numbers, out: &mut Vec<u8>) {
        self.write_object(numbers, None, out);
    }

    /// A JSON object over many lines.
    pub fn write_pretty_json(&self, numbers: Numbers, out: &mut Vec<u8>) {
        self.write_object(numbers, Some(0), out);
    }

    fn write_object(&self, numbers: Numbers, depth: Option<usize>, out: &mut Vec<u8>) {
        let inner = depth.map(|depth| depth + 1);
        out.push(b'{');
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            break_line(inner, out);
            put_json_text(key.as_bytes(), out);
            out.extend_from_slice(if depth.is_some() { b": " } else { b":" });
            match value {
                Value::Object(fields) => fields.write_object(numbers, inner, out),
                Value::Text(text) => put_json_text(text, out),
                Value::Flag(flag) => put_text(out, format_args!("{flag}")),
                Value::Count(number) => put_text(out, format_args!("{number}")),
                Value::Native(number) => put_text(out, format_args!("{}", rounded(*number))),
                Value::Measure(number) if numbers == Numbers::Native => {
                    put_text(out, format_args!("{}", rounded(*number)));
                }
                Value::Measure(number) => put_text(out, format_args!("\"{number:.3}\"")),
                Value::Whole(number) if numbers == Numbers::Native => put_text(out, format_args!("{number}")),
                Value::Whole(number) => put_text(out, format_args!("\"{number}\"")),
                Value::NotANumber if numbers == Numbers::Native => out.extend_from_slice(b"nan"),
                Value::NotANumber => out.extend_from_slice(b"\"nan\""),
            }
        }
        break_line(depth, out);
        out.push(b'}');
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    Strings,
    Native,
}

fn put_text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector can't fail.
    let _ = out.write_fmt(text);
}

fn break_line(depth: Option<usize>, out: &mut Vec<u8>) {
    if let Some(depth) = depth {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    }
}

/// To the three decimals that the game prints.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn put_json_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => put_text(out, format_args!("\\u{byte:04x}")),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}
