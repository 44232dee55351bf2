//! The attributes, read. Knows what the schema language says, not what becomes of it.

use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Expr, Fields, Generics, Ident, Lit, RangeLimits, Result, Type,
};

/// A span of versions, both ends included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Versions {
    pub(crate) const ALL: Self = Self {
        first: 0,
        last: i16::MAX,
    };

    pub(crate) const fn within(self, other: Self) -> bool {
        other.first <= self.first && self.last <= other.last
    }
}

/// A struct with everything its attributes say.
pub(crate) struct Schema {
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) message: Option<Message>,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Message {
    pub(crate) versions: Versions,
    pub(crate) flexible: i16,
    pub(crate) api: Option<Ident>,
    pub(crate) response: Option<Type>,
}

pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) tag: Option<Tag>,
    pub(crate) default: Option<Expr>,
    pub(crate) ignorable: bool,
    pub(crate) inflexible: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Tag {
    pub(crate) number: u32,
    pub(crate) versions: Versions,
}

impl Field {
    pub(crate) fn is_option(&self) -> bool {
        matches!(&self.ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
    }
}

impl Schema {
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new(input.span(), "only a struct is a message"));
        };
        let fields = match &data.fields {
            Fields::Named(named) => named.named.iter().map(field).collect::<Result<_>>()?,
            Fields::Unit => Vec::new(),
            Fields::Unnamed(_) => return Err(Error::new(input.span(), "the fields need names")),
        };
        if input.generics.lifetimes().count() != input.generics.params.len()
            || input.generics.params.len() > 1
        {
            return Err(Error::new(
                input.generics.span(),
                "a message has at most a lifetime, that of the frame",
            ));
        }
        Ok(Self {
            name: input.ident.clone(),
            generics: input.generics.clone(),
            message: message(input)?,
            fields,
        })
    }
}

fn message(input: &DeriveInput) -> Result<Option<Message>> {
    let (mut versions, mut flexible, mut api, mut response) = (None, i16::MAX, None, None);
    let mut seen = false;
    for attribute in input
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("wire"))
    {
        seen = true;
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("versions") {
                versions = Some(span(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("flexible") {
                flexible = span(&meta.value()?.parse()?)?.first;
            } else if meta.path.is_ident("api") {
                api = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("response") {
                response = Some(meta.value()?.parse()?);
            } else {
                return Err(meta.error("expected versions, flexible, api or response"));
            }
            Ok(())
        })?;
    }
    match versions {
        Some(versions) => Ok(Some(Message {
            versions,
            flexible,
            api,
            response,
        })),
        None if seen => Err(Error::new(input.span(), "a message says its versions")),
        None => Ok(None),
    }
}

fn field(field: &syn::Field) -> Result<Field> {
    let name = field
        .ident
        .clone()
        .ok_or_else(|| Error::new(field.span(), "the fields need names"))?;
    let (mut versions, mut nullable, mut number, mut tagged, mut default) =
        (None, None, None, None, None);
    let (mut ignorable, mut inflexible) = (false, false);
    for attribute in field
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("wire"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("versions") {
                versions = Some(span(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("nullable") {
                nullable = Some(span(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("tag") {
                number = Some(meta.value()?.parse::<syn::LitInt>()?.base10_parse()?);
            } else if meta.path.is_ident("tagged") {
                tagged = Some(span(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("default") {
                default = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("ignorable") {
                ignorable = true;
            } else if meta.path.is_ident("inflexible") {
                inflexible = true;
            } else {
                return Err(meta.error(
                    "expected versions, nullable, tag, tagged, default, ignorable or inflexible",
                ));
            }
            Ok(())
        })?;
    }
    let versions = versions.unwrap_or(Versions::ALL);
    let tag = number.map(|number| Tag {
        number,
        versions: tagged.unwrap_or(versions),
    });
    if tag.is_none() && tagged.is_some() {
        return Err(Error::new(field.span(), "a tagged field says its tag"));
    }
    let ty = field.ty.clone();
    let field = Field {
        name,
        ty,
        versions,
        nullable: nullable.unwrap_or(versions),
        tag,
        default,
        ignorable,
        inflexible,
    };
    if nullable.is_some() && !field.is_option() {
        return Err(Error::new(field.name.span(), "only an Option is nullable"));
    }
    Ok(field)
}

/// `4..`, `4..=7` or `4`.
fn span(expression: &Expr) -> Result<Versions> {
    if let Expr::Range(range) = expression {
        let first = range.start.as_deref().map_or(Ok(0), number)?;
        let last = match (&range.end, range.limits) {
            (None, _) => i16::MAX,
            (Some(end), RangeLimits::Closed(_)) => number(end)?,
            (Some(_), RangeLimits::HalfOpen(_)) => {
                return Err(Error::new(
                    expression.span(),
                    "the last version is included: write ..=",
                ));
            }
        };
        return Ok(Versions { first, last });
    }
    let only = number(expression)?;
    Ok(Versions {
        first: only,
        last: only,
    })
}

fn number(expression: &Expr) -> Result<i16> {
    if let Expr::Lit(literal) = expression
        && let Lit::Int(number) = &literal.lit
    {
        return number.base10_parse();
    }
    Err(Error::new(expression.span(), "a version is a number"))
}
