// build: rustc -O handlers/plain/echo.rs -o echo
//
// Rust. data -> data; {"fail": message} -> an error
// Without crates Rust has no JSON: a member is found in its object and its text left as it is.
use std::io::{self, BufRead, Write};

const OK: &[u8] = br#"{"status":"ok","result":"#;
const ERROR: &[u8] = br#"{"status":"error","error":{"type":"Asked","message":"#;

/// The text of the member `name`, which is given in quotes, of an object.
fn member<'a>(object: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (mut found, mut value) = (0, None); // where the latest name begins, and its value
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in object.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false, // a quote, perhaps, but not the end of its string
            b'\\' => escaped = true,
            b'"' => {
                quoted = !quoted;
                found = if quoted && value.is_none() { at } else { found };
            }
            _ if quoted => (),
            b'[' | b'{' => depth += 1,
            b':' if depth == 1 => value = Some(at + 1),
            b',' | b']' | b'}' => {
                if depth == 1 && value.is_some() && object[found..].starts_with(name) {
                    return Some(&object[value?..at]);
                }
                value = if depth == 1 { None } else { value };
                depth -= i32::from(*byte != b',');
            }
            _ => (),
        }
    }
    None
}

fn main() -> io::Result<()> {
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let data = member(&line, b"\"data\"").expect("a job has data");
        let answer = match member(data, b"\"fail\"") {
            Some(message) => [ERROR, message, b"}}\n"].concat(),
            None => [OK, data, b"}\n"].concat(),
        };
        io::stdout().write_all(&answer)?; // flushed by the end of the line
    }
    Ok(())
}
