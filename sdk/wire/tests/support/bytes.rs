//! Messages as bytes, drawn from entropy by reading the schema a second time: the source text of `src/message`.
//! It shares nothing with the codec but the attributes, so that the two check each other.

use super::schema::{Field, Schema, Versions};
use std::collections::BTreeMap;
use std::path::Path;
use syn::{GenericArgument, Item, PathArguments, Type};

/// Every struct of every message, by file and name.
pub(crate) struct Schemas {
    files: BTreeMap<String, BTreeMap<String, Schema>>,
}

/// A message in bytes.
#[derive(Default)]
pub(crate) struct Drawn {
    pub(crate) bytes: Vec<u8>,
    /// Where in it lengths and counts begin, and how wide they are; 0 for a varint.
    pub(crate) lengths: Vec<(usize, usize)>,
}

/// A source of choices. When it is used up, every choice is the first one.
pub(crate) struct Entropy<'a> {
    bytes: &'a [u8],
    /// Adds tagged fields nobody knows to every flexible struct.
    pub(crate) unknown_tags: bool,
}

impl<'a> Entropy<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            unknown_tags: false,
        }
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    fn fill<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }
}

#[derive(Clone, Copy)]
struct Dialect {
    version: i16,
    flexible: bool,
}

impl Dialect {
    fn has(self, versions: Versions) -> bool {
        versions.first <= self.version && self.version <= versions.last
    }
}

impl Schemas {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        let mut paths = vec![root.join("header.rs")];
        paths.extend(
            std::fs::read_dir(root.join("message"))
                .unwrap()
                .map(|entry| entry.unwrap().path()),
        );
        for path in paths {
            let source = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let mut structs = BTreeMap::new();
            for item in source.items {
                let Item::Struct(item) = item else { continue };
                let schema = Schema::parse(&item.into()).unwrap();
                structs.insert(schema.name.to_string(), schema);
            }
            files.insert(
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                structs,
            );
        }
        Self { files }
    }

    /// Draws a message of this name in this version.
    pub(crate) fn draw(&self, name: &str, version: i16, entropy: &mut Entropy<'_>) -> Drawn {
        let file = self
            .files
            .values()
            .find(|file| file.contains_key(name))
            .unwrap();
        let schema = &file[name];
        let message = schema.message.as_ref().unwrap();
        assert!(message.api.is_some() || name.ends_with("Header"));
        assert!((message.versions.first..=message.versions.last).contains(&version));
        let dialect = Dialect {
            version,
            flexible: version >= message.flexible,
        };
        let mut drawing = Drawing {
            file,
            entropy,
            out: Drawn::default(),
        };
        drawing.message(schema, dialect, false);
        drawing.out
    }
}

struct Drawing<'s, 'e, 'b> {
    file: &'s BTreeMap<String, Schema>,
    entropy: &'e mut Entropy<'b>,
    out: Drawn,
}

impl<'s> Drawing<'s, '_, '_> {
    /// `said`: no value in it may be its default, because that would not be written at all.
    fn message(&mut self, schema: &'s Schema, dialect: Dialect, said: bool) {
        for field in &schema.fields {
            let tagged = field
                .tag
                .is_some_and(|tag| dialect.flexible && dialect.has(tag.versions));
            if dialect.has(field.versions) && !tagged {
                self.field(field, dialect, said);
            }
        }
        if dialect.flexible {
            self.tags(schema, dialect, said);
        }
    }

    fn tags(&mut self, schema: &'s Schema, dialect: Dialect, said: bool) {
        let mut tagged = Vec::new();
        for field in &schema.fields {
            let Some(tag) = field.tag else { continue };
            if dialect.has(tag.versions)
                && dialect.has(field.versions)
                && (said || self.entropy.below(2) == 1)
            {
                tagged.push((tag.number, field));
            }
        }
        tagged.sort_by_key(|(number, _)| *number);
        let unknown: &[u32] = if self.entropy.unknown_tags {
            &[77, 0xffff_ffff]
        } else {
            &[]
        };
        self.uvarint(tagged.len() + unknown.len());
        for (number, field) in tagged {
            self.uvarint(number as usize);
            let outside = std::mem::take(&mut self.out);
            self.field(field, dialect, true);
            let inside = std::mem::replace(&mut self.out, outside);
            self.uvarint(inside.bytes.len());
            let start = self.out.bytes.len();
            self.out
                .lengths
                .extend(inside.lengths.iter().map(|(at, wide)| (start + at, *wide)));
            self.out.bytes.extend(inside.bytes);
        }
        for number in unknown {
            self.uvarint(*number as usize);
            self.uvarint(3);
            self.out.bytes.extend(b"???");
        }
    }

    fn field(&mut self, field: &'s Field, dialect: Dialect, said: bool) {
        let dialect = Dialect {
            flexible: dialect.flexible && !field.inflexible,
            ..dialect
        };
        let Some(inner) = argument(&field.ty, "Option") else {
            return self.value(&field.ty, dialect, said, false);
        };
        let nullable = dialect.has(field.nullable);
        // A tagged field whose default is not null could say null; one whose default is null could not.
        if nullable && !said && self.entropy.below(4) == 1 {
            self.null(inner, dialect);
        } else {
            self.value(inner, dialect, said, nullable);
        }
    }

    fn null(&mut self, ty: &Type, dialect: Dialect) {
        let name = name(ty);
        if self.file.contains_key(&name) {
            self.out.bytes.push(0xff);
        } else if dialect.flexible {
            self.out.bytes.push(0);
        } else if name == "str" {
            self.out.bytes.extend([0xff; 2]);
        } else {
            self.out.bytes.extend([0xff; 4]);
        }
    }

    fn value(&mut self, ty: &'s Type, dialect: Dialect, said: bool, nullable: bool) {
        if let Some(element) = argument(ty, "Array") {
            let count = self.entropy.below(4).max(u8::from(said));
            self.length(count.into(), dialect.flexible, 4);
            for _ in 0..count {
                self.value(element, dialect, false, false);
            }
            return;
        }
        match name(ty).as_str() {
            "bool" => {
                let value = u8::from(said) | self.entropy.below(2);
                self.out.bytes.push(value);
            }
            "i8" => self.number::<1>(said),
            "i16" | "u16" => self.number::<2>(said),
            "i32" | "u32" => self.number::<4>(said),
            "i64" => self.number::<8>(said),
            "Uuid" => self.number::<16>(said),
            "str" => {
                let texts = ["said", "", "t", "Thema-ä", &"long".repeat(40)];
                let text = texts[usize::from(self.entropy.below(5))];
                let text = if said && text.is_empty() {
                    "said"
                } else {
                    text
                };
                self.length(text.len(), dialect.flexible, 2);
                self.out.bytes.extend(text.as_bytes());
            }
            "u8" | "RecordBytes" => {
                let count = usize::from(self.entropy.below(200)).max(usize::from(said));
                self.length(count, dialect.flexible, 4);
                self.out
                    .bytes
                    .extend((0..count).map(|at| u8::try_from(at).unwrap()));
            }
            nested => {
                if nullable {
                    self.out.bytes.push(1);
                }
                let schema = self
                    .file
                    .get(nested)
                    .unwrap_or_else(|| panic!("no struct {nested}"));
                self.message(schema, dialect, said);
            }
        }
    }

    fn number<const N: usize>(&mut self, said: bool) {
        let mut value = self.entropy.fill::<N>();
        if said {
            // No default is a number of this size.
            value[0] = 0x55;
        }
        self.out.bytes.extend(value);
    }

    fn length(&mut self, length: usize, flexible: bool, wide: usize) {
        self.out
            .lengths
            .push((self.out.bytes.len(), if flexible { 0 } else { wide }));
        if flexible {
            self.varint(length + 1);
        } else {
            let bytes = u32::try_from(length).unwrap().to_be_bytes();
            self.out.bytes.extend(&bytes[4 - wide..]);
        }
    }

    /// A varint that counts something.
    fn uvarint(&mut self, value: usize) {
        self.out.lengths.push((self.out.bytes.len(), 0));
        self.varint(value);
    }

    fn varint(&mut self, mut value: usize) {
        while value > 0x7f {
            self.out
                .bytes
                .push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        self.out.bytes.push(u8::try_from(value).unwrap());
    }
}

/// `T` of `Outer<'a, T>` or `Outer<T>`.
fn argument<'t>(ty: &'t Type, outer: &str) -> Option<&'t Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    if last.ident != outer {
        return None;
    }
    arguments.args.iter().find_map(|argument| {
        let GenericArgument::Type(ty) = argument else {
            return None;
        };
        Some(ty)
    })
}

/// The name of a type without its borrows: `str` for `&'a str`, `u8` for `&'a [u8]`.
fn name(ty: &Type) -> String {
    if let Type::Reference(reference) = ty {
        return name(&reference.elem);
    }
    if let Type::Slice(slice) = ty {
        return name(&slice.elem);
    }
    let Type::Path(path) = ty else {
        panic!("a type no message has")
    };
    path.path.segments.last().unwrap().ident.to_string()
}
