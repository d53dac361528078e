//! Parses operations from a stream of bytes that arrives in pieces of any length.

use bytes::{Buf, Bytes, BytesMut};

use super::operation::{Message, Operation};

/// The longest line. An `INFO` is far shorter.
const MAX_LINE: usize = 1 << 20;
/// The longest message that NATS permits.
const MAX_MESSAGE: usize = 64 << 20;

/// Bytes that are not of the NATS protocol.
#[derive(Debug, thiserror::Error)]
#[error("malformed NATS protocol: {0:?}")]
pub(super) struct ParseError(String);

/// The bytes that have arrived and are not parsed yet.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: BytesMut,
    /// The length of the buffer's prefix without a line end.
    looked_at: usize,
    /// The message whose line is parsed and whose payload is incomplete.
    message: Option<Announced>,
}

#[derive(Debug)]
struct Announced {
    message: Message,
    headers: Option<usize>,
    total: usize,
}

impl Parser {
    /// The buffer to read into.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next complete operation.
    pub(super) fn next(&mut self) -> Result<Option<Operation>, ParseError> {
        if self.message.is_none() {
            let Some(line) = self.line()? else { return Ok(None) };
            match announced(&line)? {
                Some(message) => self.message = Some(message),
                None => return Ok(Some(Operation::Control(line))),
            }
        }
        match self.message.take() {
            Some(announced) if self.buffer.len() < announced.total + 2 => {
                self.message = Some(announced);
                Ok(None)
            }
            Some(announced) => self.complete(announced).map(Some),
            None => Ok(None),
        }
    }

    /// The next line without its end: CR LF, or LF alone, which NATS also permits.
    fn line(&mut self) -> Result<Option<Bytes>, ParseError> {
        let Some(end) = self.buffer[self.looked_at..].iter().position(|byte| *byte == b'\n') else {
            self.looked_at = self.buffer.len();
            if self.looked_at > MAX_LINE {
                return Err(ParseError(shown(&self.buffer)));
            }
            return Ok(None);
        };
        let mut line = self.buffer.split_to(self.looked_at + end + 1).freeze();
        self.looked_at = 0;
        line.truncate(line.len() - 1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Ok(Some(line))
    }

    fn complete(&mut self, announced: Announced) -> Result<Operation, ParseError> {
        let Announced { mut message, headers, total } = announced;
        message.headers = headers.map(|len| self.buffer.split_to(len).freeze());
        message.payload = self.buffer.split_to(total - headers.unwrap_or(0)).freeze();
        if !self.buffer.starts_with(b"\r\n") {
            return Err(ParseError(shown(&self.buffer)));
        }
        self.buffer.advance(2);
        Ok(Operation::Message(message))
    }
}

/// The message that a line starts, or `None` for another operation.
fn announced(line: &[u8]) -> Result<Option<Announced>, ParseError> {
    let wrong = || ParseError(shown(line));
    let verb_len = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (delivered, with_headers) = match line[..verb_len].to_ascii_uppercase().as_slice() {
        b"PUB" => (false, false),
        b"HPUB" => (false, true),
        b"MSG" => (true, false),
        b"HMSG" => (true, true),
        _ => return Ok(None),
    };
    let text = str::from_utf8(line).map_err(|_| wrong())?;
    let mut words: Vec<&str> = text.split_ascii_whitespace().skip(1).collect();
    let mut number = || words.pop().and_then(|word| word.parse::<usize>().ok()).ok_or_else(wrong);
    let total = number()?;
    let headers = with_headers.then(number).transpose()?;
    let (subject, sid, reply) = match (delivered, words.as_slice()) {
        (false, &[subject]) => (subject, None, None),
        (false, &[subject, reply]) => (subject, None, Some(reply)),
        (true, &[subject, sid]) => (subject, Some(sid), None),
        (true, &[subject, sid, reply]) => (subject, Some(sid), Some(reply)),
        _ => return Err(wrong()),
    };
    let message = Message {
        subject: subject.to_owned(),
        sid: sid.map(str::to_owned),
        reply: reply.map(str::to_owned),
        ..Message::default()
    };
    if total > MAX_MESSAGE || headers.is_some_and(|headers| headers > total) {
        return Err(wrong());
    }
    Ok(Some(Announced { message, headers, total }))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"INFO {\"a\":1}\r\nCONNECT {}\r\nPING\r\n\
        PUB a.b 5\r\nhello\r\nPUB a.b reply.to 0\r\n\r\n\
        HPUB h 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHPUB h r 12 12\r\nNATS/1.0\r\n\r\n\r\n\
        SUB a.* q 1\r\nUNSUB 1 5\r\n\
        MSG a.b 1 4\r\n\r\n\r\n\r\nMSG a.b 1 reply 1\r\nx\r\n\
        HMSG h 7 r 16 19\r\nNATS/1.0 503\r\n\r\nabc\r\n+OK\r\n-ERR 'no'\r\npub lower 1\r\nx\r\n";

    fn all(parser: &mut Parser) -> Vec<Operation> {
        std::iter::from_fn(|| parser.next().unwrap()).collect()
    }

    #[test]
    fn operations_do_not_depend_on_how_the_stream_is_split() {
        let mut whole = Parser::default();
        whole.buffer().extend_from_slice(STREAM);
        let expected = all(&mut whole);
        assert_eq!(expected.len(), 15);
        for step in 1..STREAM.len() {
            let mut parser = Parser::default();
            let mut found = Vec::new();
            for piece in STREAM.chunks(step) {
                parser.buffer().extend_from_slice(piece);
                found.extend(all(&mut parser));
            }
            assert_eq!(found, expected, "in pieces of {step}");
        }
    }

    #[test]
    fn operations_survive_a_round_trip() {
        let mut parser = Parser::default();
        parser.buffer().extend_from_slice(STREAM);
        let mut out = BytesMut::new();
        for operation in all(&mut parser) {
            operation.encode(&mut out);
        }
        let expected = String::from_utf8_lossy(STREAM).replace("pub lower", "PUB lower");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn payload_may_look_like_the_protocol_and_be_long() {
        let payload = b"PUB x 1\r\ny\r\n".repeat(400_000);
        let mut parser = Parser::default();
        parser.buffer().extend_from_slice(format!("PUB a {}\r\n", payload.len()).as_bytes());
        for piece in payload.chunks(65_536) {
            parser.buffer().extend_from_slice(piece);
            assert_eq!(parser.next().unwrap(), None);
        }
        parser.buffer().extend_from_slice(b"\r\nPING\r\n");
        let Some(Operation::Message(message)) = parser.next().unwrap() else { panic!() };
        assert!(message.payload == payload);
        assert_eq!(parser.next().unwrap().unwrap().verb(), "PING");
    }

    #[test]
    fn malformed_protocol_is_an_error() {
        for bytes in
            [&b"PUB a\r\n"[..], b"PUB a b c d\r\n", b"PUB a -1\r\n", b"HPUB a 5 4\r\n", b"PUB a 1\r\nxx\r\n"]
        {
            let mut parser = Parser::default();
            parser.buffer().extend_from_slice(bytes);
            assert!(parser.next().is_err(), "{bytes:?}");
        }
    }
}
