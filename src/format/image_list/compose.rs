//! A compose file: `image` of each service, and of its volumes that are images.
//!
//! A service with both `image` and `build` is read, since its image is pulled where it can be. Profiles make no
//! difference: all services are read. Other files (`include`, `extends`) are not opened.

use super::remark::RemarkKind;
use super::variables::{Quoting, Values, expand};
use super::yaml::{Documents, Member, Node, Visits};
use super::{Collector, ImageListError, ImageListKind, SHOWN};
use crate::diagnostic::clean;

pub(super) fn read(text: &str, found: &mut Collector) -> Result<(), ImageListError> {
    let mut visits = Visits::default();
    for document in Documents::new(text)? {
        let document = document?;
        let root = document.root();
        if !root.is_null() {
            Reader {
                visits: &mut visits,
                found,
            }
            .file(root)?;
        }
    }
    Ok(())
}

struct Reader<'r> {
    visits: &'r mut Visits,
    found: &'r mut Collector,
}

fn shape(node: Node<'_, '_>, what: &'static str) -> ImageListError {
    ImageListError::Shape {
        line: node.line(),
        kind: ImageListKind::Compose,
        what,
    }
}

/// Returns a member that says something.
fn of<'d, 'a>(members: &[Member<'d, 'a>], key: &str) -> Option<Node<'d, 'a>> {
    let member = members.iter().find(|member| member.key == key)?;
    Some(member.value).filter(|value| !value.is_null())
}

impl Reader<'_> {
    fn file(&mut self, root: Node<'_, '_>) -> Result<(), ImageListError> {
        let members = root.members(self.visits)?;
        let members = members.ok_or_else(|| shape(root, "no mapping"))?;
        if let Some(include) = of(&members, "include") {
            self.found.remark(include.line(), RemarkKind::Included)?;
        }
        let Some(services) = of(&members, "services") else {
            return Err(shape(root, "no services"));
        };
        let services = match services.members(self.visits)? {
            Some(members) => members,
            None => return Err(shape(services, "services are no mapping")),
        };
        for Member { key, value } in services {
            if !value.is_null() && !value.is_tagged() {
                self.service(key, value)?;
            } else {
                self.elsewhere(key, value)?;
            }
        }
        Ok(())
    }

    fn elsewhere(&mut self, name: &str, node: Node<'_, '_>) -> Result<(), ImageListError> {
        let service = clean(name, SHOWN);
        let kind = RemarkKind::Elsewhere { service };
        self.found.remark(node.line(), kind)
    }

    fn service(&mut self, name: &str, service: Node<'_, '_>) -> Result<(), ImageListError> {
        let members = service.members(self.visits)?;
        let members = members.ok_or_else(|| shape(service, "a service is no mapping"))?;
        let place = format!("service {}", clean(name, SHOWN));
        match (of(&members, "image"), of(&members, "build")) {
            (Some(image), _) => self.image(image, &place)?,
            (None, Some(build)) => {
                let service = clean(name, SHOWN);
                self.found
                    .remark(build.line(), RemarkKind::Built { service })?;
            }
            // The other service is in this file, and is read itself.
            (None, None) if self.extends_its_like(&members)? => {}
            (None, None) => self.elsewhere(name, service)?,
        }
        let volumes = of(&members, "volumes").map(|list| list.elements(self.visits));
        for volume in volumes.transpose()?.flatten().into_iter().flatten() {
            let members = volume.members(self.visits)?.unwrap_or_default();
            let is_image = of(&members, "type").and_then(Node::text) == Some("image");
            if let Some(source) = of(&members, "source").filter(|_| is_image) {
                self.image(source, &format!("{place}, image volume"))?;
            }
        }
        Ok(())
    }

    fn extends_its_like(&mut self, members: &[Member<'_, '_>]) -> Result<bool, ImageListError> {
        let Some(other) = of(members, "extends") else {
            return Ok(false);
        };
        let where_from = other.members(self.visits)?;
        Ok(where_from.is_none_or(|members| of(&members, "file").is_none()))
    }

    fn image(&mut self, image: Node<'_, '_>, place: &str) -> Result<(), ImageListError> {
        let text = image.text().filter(|_| !image.is_tagged());
        let text = text.ok_or_else(|| shape(image, "an image that is not text"))?;
        let name = expand(
            text,
            Quoting::Compose,
            &Values::new(),
            image.line(),
            self.found,
        )?;
        self.found.image(&name, image.line(), place)
    }
}

#[cfg(test)]
mod tests;
