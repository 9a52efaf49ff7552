//! Edits of a JSON text where it stands: a pass over the text for all that is removed, one for each that is moved, and one
//! for all that is set, each of which copies what it does not touch. A pass takes no memory beside the two texts but a few bytes for each level of nesting, whatever the document is made
//! of, and no stack: there is no document that is too deep or too wide for it.
//!
//! An array on the way of a path stands for each of its items. Objects and arrays on the way come out without white
//! space; everything else keeps its bytes.

mod text;
mod way;

use std::fmt;

use gateway_plugin_sdk::json;
use serde_json::value::RawValue;

use text::{end_of_string, end_of_value, find, is_name, skip_space};
use way::{Step, Way};

/// How many times as large as the body its edited form may be: the gateway takes no larger one from a plugin, and an
/// edit of it, which is a second text, has to fit into the memory of a call.
const GROWTH: usize = 32;
/// What the edited form of a small body may be all the same.
const SMALL: usize = 4 << 20;

/// A path into a document: names of members.
pub(crate) type Path = Vec<String>;

/// Why a body could not be edited.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is no JSON; the text says where.
    NotJson(String),
    /// Its edited form would be larger than it may be.
    Grown,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => f.write_str(why),
            Self::Grown => write!(f, "it would be over {GROWTH} times as large as it came"),
        }
    }
}

/// A JSON text.
#[derive(Debug)]
pub(crate) struct Document {
    text: Vec<u8>,
    largest: usize,
}

impl Document {
    /// Checks a text (RFC 8259).
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Fault> {
        match serde_json::from_slice(text) {
            Ok(raw) => Ok(Self::new(raw)),
            Err(error) => Err(Fault::NotJson(error.to_string())),
        }
    }

    /// The same of one that a client wrote, which is nested as deep as what reads it further on can be trusted with.
    pub(crate) fn of_client(text: &[u8]) -> Result<Self, Fault> {
        match json::read(text) {
            Ok(raw) => Ok(Self::new(raw)),
            Err(error) => Err(Fault::NotJson(error.to_string())),
        }
    }

    fn new(raw: &RawValue) -> Self {
        let text = raw.get().as_bytes().to_vec();
        let largest = text.len().saturating_mul(GROWTH).max(SMALL);
        Self { text, largest }
    }

    /// The edited text.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// Takes away every member at each of these paths.
    pub(crate) fn remove<'p>(
        &mut self,
        paths: impl IntoIterator<Item = &'p Path>,
    ) -> Result<(), Fault> {
        let ends = paths.into_iter().map(|path| (path, String::new()));
        self.passes(ends, &Act::Remove)
    }

    /// Puts values, each a JSON text, at paths: in the place of the first member of the name, or last; others of that
    /// name go. Missing objects on the way are made.
    pub(crate) fn set<'p>(
        &mut self,
        values: impl IntoIterator<Item = (&'p Path, String)>,
    ) -> Result<(), Fault> {
        self.passes(values, &Act::Set)
    }

    /// One pass for all paths, but where one leads through the end of another: those are edited one after the other.
    fn passes<'p>(
        &mut self,
        ends: impl IntoIterator<Item = (&'p Path, String)>,
        act: &Act,
    ) -> Result<(), Fault> {
        let mut way = Way::default();
        for (path, value) in ends {
            if !way.takes(path) {
                self.pass(&std::mem::take(&mut way).with_members(), act)?;
            }
            way.lead(path, &value);
        }
        match way.is_empty() {
            true => Ok(()),
            false => self.pass(&way.with_members(), act),
        }
    }

    /// Moves what is at one path to another. Where both share their beginning, each object there keeps its own.
    pub(crate) fn rename(&mut self, from: &[String], to: &[String]) -> Result<(), Fault> {
        let most = from.len().min(to.len()).saturating_sub(1);
        let pairs = from.iter().zip(to).take(most);
        let shared = pairs.take_while(|(from, to)| from == to).count();
        let mut way = Way::default();
        way.lead(&from[..shared], "");
        let (from, to) = (from[shared..].to_vec(), to[shared..].to_vec());
        self.pass(&way, &Act::Move(from, to))
    }

    fn pass(&mut self, way: &Way, act: &Act) -> Result<(), Fault> {
        let mut length = self.text.len();
        if matches!(act, Act::Set) {
            // What is added may be many times what is there: a text that grows by doubling would not fit.
            let mut counting = Pass::new(self, way, act, Length(0));
            counting.run()?;
            length = counting.out.0;
        }
        let mut pass = Pass::new(self, way, act, Vec::with_capacity(length));
        pass.run()?;
        self.text = pass.out;
        Ok(())
    }
}

/// What a pass does where its paths end.
enum Act {
    Remove,
    Set,
    /// From one path to another, below each object that the way leads to.
    Move(Path, Path),
}

/// An object or array on the way that is open.
struct Open {
    /// Which of the next names it has, by bits.
    found: u32,
    step: u16,
    is_object: bool,
    /// Nothing of it is written yet.
    is_empty: bool,
}

/// Where a pass writes.
trait Out {
    fn write(&mut self, bytes: &[u8]);

    fn length(&self) -> usize;
}

impl Out for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn length(&self) -> usize {
        self.len()
    }
}

/// How much would be written.
struct Length(usize);

impl Out for Length {
    fn write(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn length(&self) -> usize {
        self.0
    }
}

/// One pass over a whole text.
struct Pass<'a, O> {
    text: &'a [u8],
    at: usize,
    way: &'a [Step],
    act: &'a Act,
    open: Vec<Open>,
    out: O,
    largest: usize,
}

impl<'a, O: Out> Pass<'a, O> {
    fn new(document: &'a Document, way: &'a Way, act: &'a Act, out: O) -> Self {
        Self {
            text: &document.text,
            at: 0,
            way: way.steps(),
            act,
            open: Vec::new(),
            out,
            largest: document.largest,
        }
    }

    fn run(&mut self) -> Result<(), Fault> {
        // Where the way to the value in hand has come; none if the value is beside it.
        let mut step = Some(0);
        loop {
            self.value(step)?;
            if self.out.length() > self.largest {
                return Err(Fault::Grown);
            }
            match self.next() {
                Some(found) => step = found,
                None => return Ok(()),
            }
        }
    }

    /// Opens a value that is on the way, and copies any other.
    fn value(&mut self, step: Option<u16>) -> Result<(), Fault> {
        let first = self.text[self.at];
        match (first, step) {
            (b'{', Some(step)) if self.way[usize::from(step)].end.is_some() => self.moved(),
            (b'{' | b'[', Some(step)) => {
                self.out.write(&[first]);
                self.at += 1;
                self.open.push(Open {
                    found: 0,
                    step,
                    is_object: first == b'{',
                    is_empty: true,
                });
                Ok(())
            }
            _ => {
                let end = end_of_value(self.text, self.at);
                self.out.write(&self.text[self.at..end]);
                self.at = end;
                Ok(())
            }
        }
    }

    /// Goes to the next value, past the ends of what ends here; none at the end of all. What becomes of members is
    /// decided here.
    fn next(&mut self) -> Option<Option<u16>> {
        loop {
            let open = self.open.last_mut()?;
            self.at = skip_space(self.text, self.at);
            if self.text[self.at] == b',' {
                self.at = skip_space(self.text, self.at + 1);
            }
            if matches!(self.text[self.at], b'}' | b']') {
                self.close();
                continue;
            }
            let step = open.step;
            if !open.is_object {
                self.separate();
                return Some(Some(step));
            }
            let name = self.at..end_of_string(self.text, self.at);
            let colon = skip_space(self.text, name.end);
            self.at = skip_space(self.text, colon + 1);
            let quoted = &self.text[name.clone()];
            let mut names = self.way[usize::from(step)].next.iter();
            let Some(found) = names.position(|(next, _)| is_name(quoted, next)) else {
                self.member(name);
                return Some(None);
            };
            let again = open.found & (1 << found) != 0;
            open.found |= 1 << found;
            let next = self.way[usize::from(step)].next[found].1;
            match (self.act, &self.way[usize::from(next)].end) {
                (Act::Remove, Some(_)) => self.skip(),
                (Act::Set, Some(_)) if again => self.skip(),
                (Act::Set, Some(value)) => {
                    self.member(name);
                    self.out.write(value.as_bytes());
                    self.skip();
                }
                _ => {
                    self.member(name);
                    return Some(Some(next));
                }
            }
        }
    }

    /// Ends the object or array in hand.
    fn close(&mut self) {
        let Some(open) = self.open.last() else { return };
        if let (Act::Set, true) = (self.act, open.is_object) {
            let (way, found) = (self.way, open.found);
            let members = &way[usize::from(open.step)].members;
            let missing = members.iter().enumerate();
            for (_, member) in missing.filter(|(at, _)| found & (1 << at) == 0) {
                self.separate();
                self.out.write(member.as_bytes());
            }
        }
        self.out.write(&self.text[self.at..=self.at]);
        self.at += 1;
        self.open.pop();
    }

    /// Leaves a value out.
    fn skip(&mut self) {
        self.at = end_of_value(self.text, self.at);
    }

    /// Writes the name of a member.
    fn member(&mut self, name: std::ops::Range<usize>) {
        self.separate();
        self.out.write(&self.text[name]);
        self.out.write(b":");
    }

    fn separate(&mut self) {
        if let Some(open) = self.open.last_mut()
            && !std::mem::replace(&mut open.is_empty, false)
        {
            self.out.write(b",");
        }
    }

    /// Moves a value in the object in hand, which is at the end of the path.
    fn moved(&mut self) -> Result<(), Fault> {
        let end = end_of_value(self.text, self.at);
        let object = &self.text[self.at..end];
        self.at = end;
        let Act::Move(from, to) = self.act else {
            self.out.write(object);
            return Ok(());
        };
        let Some(value) = find(object, from) else {
            self.out.write(object);
            return Ok(());
        };
        let value = String::from_utf8_lossy(value);
        let mut moved = Document {
            text: object.to_vec(),
            largest: self.largest.saturating_sub(self.out.length()),
        };
        moved.remove([from])?;
        moved.set([(to, value.into_owned())])?;
        self.out.write(&moved.text);
        Ok(())
    }
}
