//! Kubernetes manifests, YAML or JSON, one or many documents, of any kind and lists of them.
//!
//! An image is what a kubelet would pull: `image` of an element of a list named `containers`,
//! `initContainers` or `ephemeralContainers`, and `image.reference` of an element of `volumes`. Such lists are
//! found wherever they stand, so that every template of every kind is read, custom resources' too. Another key
//! named `image` is none: a ConfigMap may have it, or a status. In custom resources it may be one all the same
//! (an operator that makes pods of it), so there it is told as left out. Manifests within text (a ConfigMap's
//! data, an annotation) are not read.

use super::yaml::{Documents, Member, Node, Visits};
use super::{Collector, ImageListError, ImageListKind, RemarkKind, SHOWN};
use crate::diagnostic::clean;
use crate::format::limits::IMAGE_LIST_DEPTH;

const CONTAINERS: [(&str, &str); 3] = [
    ("containers", "container"),
    ("initContainers", "init container"),
    ("ephemeralContainers", "ephemeral container"),
];

pub(super) fn read(text: &str, found: &mut Collector) -> Result<(), ImageListError> {
    let mut reader = Reader {
        visits: Visits::default(),
        found,
    };
    for document in Documents::new(text)? {
        let document = document?;
        let root = document.root();
        if root.is_null() {
            continue;
        }
        let members = reader.members(root)?;
        let has = |key| {
            let member = members.iter().flatten().find(|member| member.key == key);
            member.is_some_and(|member| member.value.text().is_some_and(|text| !text.is_empty()))
        };
        if !has("apiVersion") || !has("kind") {
            return Err(ImageListError::Shape {
                line: root.line(),
                kind: ImageListKind::Kubernetes,
                what: "a document without apiVersion and kind",
            });
        }
        reader.node(root, &Object::default(), 0)?;
    }
    Ok(())
}

/// The object that a node is part of.
#[derive(Debug, Clone, Default)]
struct Object {
    /// Kind and name.
    shown: String,
    /// Whether its kind is none of Kubernetes's own.
    is_custom: bool,
}

struct Reader<'f> {
    visits: Visits,
    found: &'f mut Collector,
}

type Members<'d, 'a> = Option<Vec<Member<'d, 'a>>>;

impl Reader<'_> {
    fn members<'d, 'a>(&mut self, node: Node<'d, 'a>) -> Result<Members<'d, 'a>, ImageListError> {
        node.members(&mut self.visits)
    }

    fn node(
        &mut self,
        node: Node<'_, '_>,
        object: &Object,
        depth: usize,
    ) -> Result<(), ImageListError> {
        // Aliases can nest what is not nested as written.
        if depth > IMAGE_LIST_DEPTH {
            return Err(ImageListError::TooDeep {
                line: node.line(),
                limit: IMAGE_LIST_DEPTH,
            });
        }
        if let Some(elements) = node.elements(&mut self.visits)? {
            for element in elements {
                self.node(element, object, depth + 1)?;
            }
        }
        let Some(members) = self.members(node)? else {
            return Ok(());
        };
        let object = &self.object(&members, object)?;
        let has_metadata = members.iter().any(|member| member.key == "metadata");
        for Member { key, value } in members {
            // What is said about an object, and not what it asks for.
            if has_metadata && (key == "metadata" || key == "status") {
                continue;
            }
            let containers = CONTAINERS.iter().find(|(list, _)| *list == key);
            if let Some((_, what)) = containers {
                self.containers(value, what, object, depth + 1)?;
            } else if key == "volumes" {
                self.volumes(value, object, depth + 1)?;
            } else if key == "image" && value.text().is_some() {
                self.other_image(value, object)?;
            } else {
                self.node(value, object, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Returns which object a mapping is, or the one that it is part of.
    fn object(
        &mut self,
        members: &[Member<'_, '_>],
        around: &Object,
    ) -> Result<Object, ImageListError> {
        let text = |key| {
            let member = members.iter().find(|member| member.key == key);
            member.and_then(|member| member.value.text())
        };
        let Some(kind) = text("kind").filter(|_| members.iter().any(|m| m.key == "metadata"))
        else {
            return Ok(around.clone());
        };
        let metadata = members.iter().find(|member| member.key == "metadata");
        let mut name = String::new();
        for member in metadata
            .map(|member| self.members(member.value))
            .transpose()?
            .flatten()
            .into_iter()
            .flatten()
        {
            if member.key == "name" {
                name = clean(member.value.text().unwrap_or_default(), SHOWN);
            }
        }
        let kind = clean(kind, SHOWN);
        Ok(Object {
            shown: match name.as_str() {
                "" => kind,
                name => format!("{kind}/{name}"),
            },
            is_custom: text("apiVersion").map_or(around.is_custom, is_custom),
        })
    }

    fn containers(
        &mut self,
        list: Node<'_, '_>,
        what: &str,
        object: &Object,
        depth: usize,
    ) -> Result<(), ImageListError> {
        let Some(elements) = list.elements(&mut self.visits)? else {
            return self.node(list, object, depth);
        };
        for element in elements {
            let Some(members) = self.members(element)? else {
                continue;
            };
            let of = |key| {
                let member = members.iter().find(|member| member.key == key);
                member.map(|member| member.value)
            };
            let name = of("name").and_then(Node::text).unwrap_or_default();
            let place = object.place(what, name);
            match of("image").filter(|image| !image.is_null()) {
                Some(image) => self.image(image, &place)?,
                None => self
                    .found
                    .remark(element.line(), RemarkKind::NoImage { place })?,
            }
            for member in members.iter().filter(|member| member.key != "image") {
                self.node(member.value, object, depth + 1)?;
            }
        }
        Ok(())
    }

    fn volumes(
        &mut self,
        list: Node<'_, '_>,
        object: &Object,
        depth: usize,
    ) -> Result<(), ImageListError> {
        let Some(elements) = list.elements(&mut self.visits)? else {
            return self.node(list, object, depth);
        };
        for element in elements {
            for member in self.members(element)?.into_iter().flatten() {
                if member.key != "image" {
                    self.node(member.value, object, depth + 1)?;
                    continue;
                }
                for source in self.members(member.value)?.into_iter().flatten() {
                    if source.key == "reference" && !source.value.is_null() {
                        self.image(source.value, &object.place("image volume", ""))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn image(&mut self, image: Node<'_, '_>, place: &str) -> Result<(), ImageListError> {
        let text = image.text().filter(|_| !image.is_tagged());
        let text = text.ok_or(ImageListError::Shape {
            line: image.line(),
            kind: ImageListKind::Kubernetes,
            what: "an image that is not text",
        })?;
        self.found.image(text, image.line(), place)
    }

    /// Tells of an image that an operator may run, and that no container names.
    fn other_image(&mut self, image: Node<'_, '_>, object: &Object) -> Result<(), ImageListError> {
        let text = image.text().filter(|_| !image.is_null());
        if let Some(text) = text.filter(|_| object.is_custom) {
            let kind = RemarkKind::CustomResource {
                object: object.shown.clone(),
                image: clean(text, SHOWN),
            };
            self.found.remark(image.line(), kind)?;
        }
        Ok(())
    }
}

impl Object {
    fn place(&self, what: &str, name: &str) -> String {
        let name = clean(name, SHOWN);
        let space = if name.is_empty() { "" } else { " " };
        match self.shown.as_str() {
            "" => format!("{what}{space}{name}"),
            shown => format!("{shown}, {what}{space}{name}"),
        }
    }
}

/// Returns whether a version is of a group that is none of Kubernetes's own. Those have no dot, or end so.
fn is_custom(version: &str) -> bool {
    match version.split_once('/') {
        None => false,
        Some((group, _)) => group.contains('.') && !group.ends_with(".k8s.io"),
    }
}

#[cfg(test)]
mod tests;
