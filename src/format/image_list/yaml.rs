//! YAML as a tree with lines, within bounds. JSON is read as the YAML that it is.
//!
//! The events come from `saphyr_parser`; everything that could multiply is here. An alias points to the
//! node that it stands for, which costs nothing until it is visited; visits are counted. What readers of YAML
//! understand differently is refused, since the file's own tool reads it with another one: a key that stands
//! twice, a key that is no text, characters that YAML 1.1 takes for line breaks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{ImageListError, SHOWN};
use crate::diagnostic::clean;
use crate::format::limits::{
    IMAGE_LIST_DEPTH, IMAGE_LIST_DOCUMENTS, IMAGE_LIST_VALUES, IMAGE_LIST_VISITS,
};

/// Characters that are line breaks in YAML 1.1 and none in YAML 1.2.
const DISPUTED_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// Documents of a stream, one at a time.
pub(super) struct Documents<'a> {
    parser: Parser<'a, StrInput<'a>>,
    count: usize,
    is_over: bool,
}

/// One document.
#[derive(Debug)]
pub(super) struct Document<'a> {
    nodes: Vec<Content<'a>>,
}

#[derive(Debug)]
struct Content<'a> {
    line: usize,
    tag: Tagged,
    value: Value<'a>,
}

#[derive(Debug)]
enum Value<'a> {
    Scalar { text: Cow<'a, str>, is_plain: bool },
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
}

/// What a node's tag makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tagged {
    /// No tag, or the one that it has anyway.
    No,
    /// `!!str`: text, even where it looks like null.
    Text,
    /// `!!merge`.
    Merge,
    /// Any other: what it is cannot be told from here.
    Other,
}

/// A node of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'d, 'a> {
    document: &'d Document<'a>,
    id: usize,
}

/// A member of a mapping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'d, 'a> {
    pub key: &'d str,
    pub value: Node<'d, 'a>,
}

/// Counts the nodes that are visited, so that aliases cannot multiply without end.
#[derive(Debug, Default)]
pub(super) struct Visits(usize);

impl Visits {
    fn add(&mut self, count: usize, line: usize) -> Result<(), ImageListError> {
        self.0 += count;
        if self.0 > IMAGE_LIST_VISITS {
            return Err(ImageListError::TooManyValues {
                line,
                limit: IMAGE_LIST_VISITS,
                aliases: true,
            });
        }
        Ok(())
    }
}

impl<'a> Documents<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, ImageListError> {
        if let Some(at) = text.find(DISPUTED_BREAKS) {
            return Err(ImageListError::Ambiguous {
                line: super::line_at(text.as_bytes(), at),
                what: "a character that some readers of YAML take for the end of a line",
            });
        }
        Ok(Documents {
            parser: Parser::new_from_str(text),
            count: 0,
            is_over: false,
        })
    }

    fn event(&mut self) -> Result<Option<(Event<'a>, Span)>, ImageListError> {
        let wrong = |error: ScanError| ImageListError::Yaml {
            line: error.marker().line(),
            cause: clean(error.info(), 200),
        };
        self.parser.next_event().transpose().map_err(wrong)
    }

    fn document(&mut self) -> Result<Option<Document<'a>>, ImageListError> {
        while let Some((event, _)) = self.event()? {
            if let Event::DocumentStart(_) = event {
                self.count += 1;
                if self.count > IMAGE_LIST_DOCUMENTS {
                    return Err(ImageListError::TooMany {
                        what: "documents",
                        limit: IMAGE_LIST_DOCUMENTS,
                    });
                }
                return self.build().map(Some);
            }
        }
        Ok(None)
    }

    fn build(&mut self) -> Result<Document<'a>, ImageListError> {
        let mut builder = Builder::default();
        while let Some((event, span)) = self.event()? {
            if let Event::DocumentEnd = event {
                break;
            }
            builder.take(event, span.start.line())?;
        }
        Ok(Document {
            nodes: builder.nodes,
        })
    }
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<Document<'a>, ImageListError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.document().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// A collection that is not closed yet.
struct Open {
    id: usize,
    /// The key that waits for its value.
    key: Option<usize>,
}

/// Builds one document from its events.
#[derive(Default)]
struct Builder<'a> {
    nodes: Vec<Content<'a>>,
    open: Vec<Open>,
    /// Values so far, aliases and ends of collections included.
    values: usize,
    /// Nodes by the number that the parser gives an anchor.
    anchors: BTreeMap<usize, usize>,
}

impl<'a> Builder<'a> {
    fn take(&mut self, event: Event<'a>, line: usize) -> Result<(), ImageListError> {
        self.values += 1;
        if self.values > IMAGE_LIST_VALUES {
            return Err(ImageListError::TooManyValues {
                line,
                limit: IMAGE_LIST_VALUES,
                aliases: false,
            });
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let value = Value::Scalar { text, is_plain };
                let id = self.node(value, line, anchor, tag.as_deref())?;
                self.place(id)
            }
            Event::Alias(anchor) => {
                // Known to the parser, and not to this document, it is another document's.
                let id = self.anchors.get(&anchor).copied();
                let id = id.filter(|id| !self.open.iter().any(|open| open.id == *id));
                let id = id.ok_or(ImageListError::Ambiguous {
                    line,
                    what: "an alias for what it is itself a part of, or for nothing",
                })?;
                self.place(id)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Value::Sequence(Vec::new()), line, anchor, tag.as_deref())
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(Value::Mapping(Vec::new()), line, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { id, .. }) = self.open.pop() else {
                    return Ok(());
                };
                self.unique_keys(id)?;
                self.place(id)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn node(
        &mut self,
        value: Value<'a>,
        line: usize,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<usize, ImageListError> {
        let id = self.nodes.len();
        let tag = Tagged::of(tag, &value);
        self.nodes.push(Content { line, tag, value });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        Ok(id)
    }

    fn begin(
        &mut self,
        value: Value<'a>,
        line: usize,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), ImageListError> {
        if self.open.len() >= IMAGE_LIST_DEPTH {
            return Err(ImageListError::TooDeep {
                line,
                limit: IMAGE_LIST_DEPTH,
            });
        }
        let id = self.node(value, line, anchor, tag)?;
        self.open.push(Open { id, key: None });
        Ok(())
    }

    /// Puts a finished node where it belongs: into the collection that is open.
    fn place(&mut self, id: usize) -> Result<(), ImageListError> {
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        match &mut self.nodes[open.id].value {
            Value::Scalar { .. } => {}
            Value::Sequence(elements) => elements.push(id),
            Value::Mapping(members) => match open.key.take() {
                None => open.key = Some(id),
                Some(key) => members.push((key, id)),
            },
        }
        Ok(())
    }

    /// Refuses a mapping whose keys are not text, or not each once.
    fn unique_keys(&self, id: usize) -> Result<(), ImageListError> {
        let Value::Mapping(members) = &self.nodes[id].value else {
            return Ok(());
        };
        let mut known = BTreeSet::new();
        for (key, _) in members {
            let content = &self.nodes[*key];
            let line = content.line;
            let Value::Scalar { text, .. } = &content.value else {
                return Err(ImageListError::Ambiguous {
                    line,
                    what: "a key that is not text",
                });
            };
            if content.tag == Tagged::Other {
                return Err(ImageListError::Ambiguous {
                    line,
                    what: "a key with a tag",
                });
            }
            if !known.insert(text.as_ref()) {
                return Err(ImageListError::DuplicateKey {
                    line,
                    key: clean(text, SHOWN),
                });
            }
        }
        Ok(())
    }
}

impl Tagged {
    fn of(tag: Option<&Tag>, value: &Value<'_>) -> Self {
        let Some(tag) = tag else {
            return Tagged::No;
        };
        if !tag.is_yaml_core_schema() {
            return Tagged::Other;
        }
        match (tag.suffix.as_str(), value) {
            ("str", Value::Scalar { .. }) => Tagged::Text,
            ("merge", Value::Scalar { .. }) => Tagged::Merge,
            ("seq", Value::Sequence(_)) | ("map", Value::Mapping(_)) => Tagged::No,
            _ => Tagged::Other,
        }
    }
}

impl<'a> Document<'a> {
    /// Returns the outermost node.
    pub(super) fn root(&self) -> Node<'_, 'a> {
        // A document has a node, if only an empty scalar; it is the first that was begun.
        Node {
            document: self,
            id: 0,
        }
    }
}

impl<'d, 'a> Node<'d, 'a> {
    fn content(self) -> Option<&'d Content<'a>> {
        self.document.nodes.get(self.id)
    }

    fn other(self, id: usize) -> Self {
        Node {
            document: self.document,
            id,
        }
    }

    /// Returns the line, from 1.
    pub(super) fn line(self) -> usize {
        self.content().map_or(1, |content| content.line)
    }

    /// Returns whether it has a tag that makes it something else than it looks.
    pub(super) fn is_tagged(self) -> bool {
        self.content()
            .is_some_and(|content| content.tag == Tagged::Other)
    }

    /// Returns a scalar's text, whatever type a reader may give it; `None` for collections.
    pub(super) fn text(self) -> Option<&'d str> {
        match &self.content()?.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns whether it is null: nothing, `~` or `null`, without quotes.
    pub(super) fn is_null(self) -> bool {
        let Some(content) = self.content() else {
            return true;
        };
        match &content.value {
            Value::Scalar { text, is_plain } => {
                let is_text = !is_plain || content.tag == Tagged::Text;
                !is_text && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// Returns the elements of a sequence.
    pub(super) fn elements(
        self,
        visits: &mut Visits,
    ) -> Result<Option<Vec<Node<'d, 'a>>>, ImageListError> {
        let Some(Value::Sequence(elements)) = self.content().map(|content| &content.value) else {
            return Ok(None);
        };
        visits.add(elements.len() + 1, self.line())?;
        Ok(Some(elements.iter().map(|id| self.other(*id)).collect()))
    }

    /// Returns the members of a mapping in their order, those that are merged in (`<<`) included: a member's
    /// own value wins, then the first that is merged.
    pub(super) fn members(
        self,
        visits: &mut Visits,
    ) -> Result<Option<Vec<Member<'d, 'a>>>, ImageListError> {
        let mut members = Vec::new();
        let is_mapping = self.add_members(&mut members, visits, 0)?;
        if !is_mapping {
            return Ok(None);
        }
        let mut known = BTreeSet::new();
        members.retain(|member| known.insert(member.key));
        Ok(Some(members))
    }

    fn add_members(
        self,
        into: &mut Vec<Member<'d, 'a>>,
        visits: &mut Visits,
        depth: usize,
    ) -> Result<bool, ImageListError> {
        let line = self.line();
        if depth > IMAGE_LIST_DEPTH {
            return Err(ImageListError::TooDeep {
                line,
                limit: IMAGE_LIST_DEPTH,
            });
        }
        let Some(Value::Mapping(members)) = self.content().map(|content| &content.value) else {
            return Ok(false);
        };
        visits.add(members.len() + 1, line)?;
        let mut merged = Vec::new();
        for (key, value) in members {
            let (key, value) = (self.other(*key), self.other(*value));
            if key.is_merge() {
                merged.push(value);
            } else if let Some(key) = key.text() {
                into.push(Member { key, value });
            }
        }
        for value in merged {
            let sources = match value.elements(visits)? {
                Some(sources) => sources,
                None => vec![value],
            };
            for source in sources {
                if !source.add_members(into, visits, depth + 1)? {
                    return Err(ImageListError::Ambiguous {
                        line: source.line(),
                        what: "what is merged in is not a mapping",
                    });
                }
            }
        }
        Ok(true)
    }

    fn is_merge(self) -> bool {
        self.content().is_some_and(|content| match &content.value {
            Value::Scalar { text, is_plain } => {
                let is_merge = *is_plain && content.tag == Tagged::No;
                text == "<<" && (is_merge || content.tag == Tagged::Merge)
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests;
