//! What is written in the place of an expression, and where in the output each mutant stands.

use std::ops::Range;

/// A mutant's number; 0 is none.
pub type Number = u32;

/// A part of what replaces a site.
#[derive(Debug)]
pub enum Piece {
    /// Text of ours.
    Text(String),
    /// The source as it is, without mutants.
    Copy(Range<usize>),
    /// The site's own source, with the mutants within.
    Inner,
    /// What lies between is this mutant's alone.
    Open(Number),
    /// End of that.
    Close(Number),
}

/// A stretch of source that is replaced; sites nest and never overlap otherwise.
#[derive(Debug)]
pub struct Site {
    /// Bytes of the source.
    pub range: Range<usize>,
    /// What stands there instead.
    pub pieces: Vec<Piece>,
    /// Mutants switched here.
    pub mutants: Vec<Number>,
    /// Sites within.
    pub children: Vec<Site>,
}

/// Where mutants stand in the output.
#[derive(Debug)]
pub struct Place {
    /// Bytes of the output.
    pub range: Range<usize>,
    /// Which.
    pub mutants: Vec<Number>,
}

/// Writes the source with its sites replaced.
pub fn render(source: &str, sites: &mut [Site]) -> (String, Vec<Place>) {
    let (mut out, mut places) = (String::new(), Vec::new());
    stretch(source, 0..source.len(), sites, &mut out, &mut places);
    (out, places)
}

fn stretch(
    source: &str,
    range: Range<usize>,
    sites: &mut [Site],
    out: &mut String,
    places: &mut Vec<Place>,
) {
    sites.sort_by_key(|site| (site.range.start, site.range.end));
    let mut at = range.start;
    for site in sites {
        assert!(
            site.range.start >= at && site.range.end <= range.end,
            "sites overlap at {:?}: {:?}",
            site.range,
            &source[site.range.clone()]
        );
        out.push_str(&source[at..site.range.start]);
        replace(source, site, out, places);
        at = site.range.end;
    }
    out.push_str(&source[at..range.end]);
}

fn replace(source: &str, site: &mut Site, out: &mut String, places: &mut Vec<Place>) {
    let start = out.len();
    let mut opened = Vec::new();
    for piece in &site.pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Copy(range) => out.push_str(&source[range.clone()]),
            Piece::Inner => stretch(source, site.range.clone(), &mut site.children, out, places),
            Piece::Open(mutant) => opened.push((*mutant, out.len())),
            Piece::Close(mutant) => {
                let (open, from) = opened.pop().expect("opened before");
                assert_eq!(open, *mutant, "opened and closed in turn");
                places.push(Place {
                    range: from..out.len(),
                    mutants: vec![open],
                });
            }
        }
    }
    if !site.mutants.is_empty() {
        places.push(Place {
            range: start..out.len(),
            mutants: site.mutants.clone(),
        });
    }
}
