//! The schema, written out as calls: one walk that reads, one that writes (and measures, with another sink).

use crate::schema::{Field, Schema, Tag, Versions};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

pub(crate) fn expand(schema: &Schema) -> TokenStream {
    let values = [default(schema), get(schema), put(schema), message(schema)];
    quote!(#(#values)*)
}

fn default(schema: &Schema) -> TokenStream {
    let name = &schema.name;
    let (impls, types, wheres) = schema.generics.split_for_impl();
    let fields = schema.fields.iter().map(|field| {
        let (name, value) = (&field.name, default_of(field));
        quote!(#name: #value)
    });
    quote! {
        impl #impls ::core::default::Default for #name #types #wheres {
            fn default() -> Self {
                Self { #(#fields),* }
            }
        }
    }
}

fn default_of(field: &Field) -> TokenStream {
    match &field.default {
        Some(default) => quote!(#default),
        None => quote!(::core::default::Default::default()),
    }
}

/// The walk that reads: regular fields in order, then the tagged ones in whatever order they come.
fn get(schema: &Schema) -> TokenStream {
    let name = &schema.name;
    let (_, types, _) = schema.generics.split_for_impl();
    let lifetime = match schema.generics.lifetimes().next() {
        Some(parameter) => parameter.lifetime.clone(),
        None => syn::Lifetime::new("'frame", proc_macro2::Span::call_site()),
    };
    let names: Vec<_> = schema.fields.iter().map(|field| &field.name).collect();
    let locals: Vec<_> = names
        .iter()
        .map(|name| format_ident!("field_{name}"))
        .collect();

    let regular = schema.fields.iter().zip(&locals).map(|(field, local)| {
        let value = get_regular(field);
        let mutable = field.tag.map(|_| quote!(mut));
        let ty = &field.ty;
        quote!(let #mutable #local: #ty = #value;)
    });
    let arms: Vec<_> = schema
        .fields
        .iter()
        .zip(&locals)
        .filter_map(|(field, local)| {
            let tag = field.tag?;
            let number = tag.number;
            let condition = within(tag.versions);
            let condition = condition.map(|condition| quote!(if #condition));
            let value = get_value(field, &quote!(get_tagged), &quote!(value));
            Some(quote!(#number #condition => #local = #value,))
        })
        .collect();
    let tags = if arms.is_empty() {
        quote!(highwater_wire::primitive::skip_tags(dialect, cursor)?;)
    } else {
        quote! {
            let mut tags = highwater_wire::primitive::Tags::start(dialect, cursor)?;
            while let ::core::option::Option::Some((tag, mut bytes)) = tags.next(cursor)? {
                let value = &mut bytes;
                match tag {
                    #(#arms)*
                    _ => {}
                }
            }
        }
    };
    quote! {
        impl<#lifetime> highwater_wire::primitive::Get<#lifetime> for #name #types {
            fn get(
                dialect: highwater_wire::primitive::Dialect,
                cursor: &mut highwater_wire::primitive::Cursor<#lifetime>,
            ) -> ::core::result::Result<Self, highwater_wire::DecodeError> {
                #(#regular)*
                #tags
                ::core::result::Result::Ok(Self { #(#names: #locals),* })
            }
        }

        impl<#lifetime> highwater_wire::primitive::GetNullable<#lifetime> for #name #types {
            fn get_nullable(
                dialect: highwater_wire::primitive::Dialect,
                cursor: &mut highwater_wire::primitive::Cursor<#lifetime>,
            ) -> ::core::result::Result<::core::option::Option<Self>, highwater_wire::DecodeError> {
                highwater_wire::primitive::get_nullable_struct(dialect, cursor)
            }

            fn get_nullable_tagged(
                dialect: highwater_wire::primitive::Dialect,
                cursor: &mut highwater_wire::primitive::Cursor<#lifetime>,
            ) -> ::core::result::Result<::core::option::Option<Self>, highwater_wire::DecodeError> {
                highwater_wire::primitive::get_nullable_tagged_struct(dialect, cursor)
            }
        }
    }
}

/// A field where it is regular; its default where it is tagged or not there at all.
fn get_regular(field: &Field) -> TokenStream {
    let value = get_value(field, &quote!(get), &quote!(cursor));
    match presence(field) {
        Presence::Always => value,
        Presence::Never => default_of(field),
        Presence::When(condition) => {
            let default = default_of(field);
            quote!(if #condition { #value } else { #default })
        }
    }
}

fn get_value(field: &Field, how: &TokenStream, cursor: &TokenStream) -> TokenStream {
    let dialect = dialect(field);
    let get = quote!(highwater_wire::primitive::Get::#how(#dialect, #cursor)?);
    if field.is_option() && !field.versions.within(field.nullable) {
        let condition = condition(field.nullable);
        return quote!(if #condition { #get } else { ::core::option::Option::Some(#get) });
    }
    get
}

/// The walk that writes.
fn put(schema: &Schema) -> TokenStream {
    let name = &schema.name;
    let (impls, types, wheres) = schema.generics.split_for_impl();
    let regular = schema.fields.iter().map(|field| put_regular(schema, field));

    let mut tagged: Vec<(&Field, Tag)> = schema
        .fields
        .iter()
        .filter_map(|field| Some((field, field.tag?)))
        .collect();
    tagged.sort_by_key(|(_, tag)| tag.number);
    let tags = if tagged.is_empty() {
        quote!(highwater_wire::primitive::put_no_tags(dialect, sink);)
    } else {
        let said = tagged.iter().map(|(field, tag)| {
            let is_default = is_default(field);
            match within(tag.versions) {
                Some(condition) => quote!(#condition && !#is_default),
                None => quote!(!#is_default),
            }
        });
        let flags: Vec<_> = tagged
            .iter()
            .map(|(field, _)| format_ident!("say_{}", field.name))
            .collect();
        let puts = tagged.iter().zip(&flags).map(|((field, tag), flag)| {
            let (name, number, dialect) = (&field.name, tag.number, dialect(field));
            quote!(if #flag { highwater_wire::primitive::put_tagged(#number, &self.#name, #dialect, sink)?; })
        });
        quote! {
            if dialect.flexible {
                #(let #flags = #said;)*
                sink.uvarint(0 #(+ ::core::primitive::u32::from(#flags))*);
                #(#puts)*
            }
        }
    };
    let defaults = schema.fields.iter().map(is_default);
    quote! {
        impl #impls highwater_wire::primitive::Put for #name #types #wheres {
            fn put<S: highwater_wire::primitive::Sink>(
                &self,
                dialect: highwater_wire::primitive::Dialect,
                sink: &mut S,
            ) -> ::core::result::Result<(), highwater_wire::EncodeError> {
                #(#regular)*
                #tags
                ::core::result::Result::Ok(())
            }

            fn is_default(&self) -> bool {
                true #(&& #defaults)*
            }
        }

        impl #impls highwater_wire::primitive::PutNullable for #name #types #wheres {
            fn put_null<S: highwater_wire::primitive::Sink>(_: highwater_wire::primitive::Dialect, sink: &mut S) {
                highwater_wire::primitive::put_null_struct(sink);
            }

            fn put_null_tagged<S: highwater_wire::primitive::Sink>(
                _: highwater_wire::primitive::Dialect,
                sink: &mut S,
            ) {
                highwater_wire::primitive::put_null_tagged_struct(sink);
            }

            fn put_some<S: highwater_wire::primitive::Sink>(
                &self,
                dialect: highwater_wire::primitive::Dialect,
                sink: &mut S,
            ) -> ::core::result::Result<(), highwater_wire::EncodeError> {
                highwater_wire::primitive::put_some_struct(self, dialect, sink)
            }
        }
    }
}

fn put_regular(schema: &Schema, field: &Field) -> TokenStream {
    let put = put_value(schema, field);
    let refuse = match (&field.tag, field.ignorable) {
        (_, true) => None,
        (None, false) => (field.versions != Versions::ALL).then(|| refuse(schema, field, None)),
        (Some(tag), false) => {
            let covered = tag.versions == Versions::ALL;
            (!covered).then(|| refuse(schema, field, within(tag.versions)))
        }
    };
    match presence(field) {
        Presence::Always => put,
        Presence::Never => refuse.unwrap_or_default(),
        Presence::When(condition) => match refuse {
            Some(refuse) => quote!(if #condition { #put } else { #refuse }),
            None => quote!(if #condition { #put }),
        },
    }
}

/// Refuses a field that is not its default, unless `said` (it is written elsewhere, as a tagged field).
fn refuse(schema: &Schema, field: &Field, said: Option<TokenStream>) -> TokenStream {
    let is_default = is_default(field);
    let path = path(schema, field);
    let unsaid = said.map(|said| quote!(!(#said) &&));
    quote! {
        if #unsaid !#is_default {
            return ::core::result::Result::Err(highwater_wire::primitive::not_in_version(#path, dialect));
        }
    }
}

fn put_value(schema: &Schema, field: &Field) -> TokenStream {
    let (name, dialect) = (&field.name, dialect(field));
    let put = quote!(highwater_wire::primitive::Put::put(&self.#name, #dialect, sink)?;);
    if field.is_option() && !field.versions.within(field.nullable) {
        let condition = condition(field.nullable);
        let path = path(schema, field);
        return quote! {
            if #condition { #put } else {
                highwater_wire::primitive::put_required(&self.#name, #path, #dialect, sink)?;
            }
        };
    }
    put
}

fn is_default(field: &Field) -> TokenStream {
    let name = &field.name;
    match &field.default {
        Some(default) => quote!((self.#name == #default)),
        None => quote!(highwater_wire::primitive::Put::is_default(&self.#name)),
    }
}

enum Presence {
    Always,
    Never,
    When(TokenStream),
}

/// In which versions a field stands among the regular ones.
fn presence(field: &Field) -> Presence {
    match field.tag {
        None => within(field.versions).map_or(Presence::Always, Presence::When),
        Some(tag) if field.versions.within(tag.versions) => Presence::Never,
        Some(tag) => {
            let (there, tagged) = (condition(field.versions), condition(tag.versions));
            Presence::When(quote!(#there && !(#tagged)))
        }
    }
}

/// The condition for these versions; `None` when it always holds.
fn within(versions: Versions) -> Option<TokenStream> {
    (versions != Versions::ALL).then(|| condition(versions))
}

fn condition(versions: Versions) -> TokenStream {
    let Versions { first, last } = versions;
    match (first, last) {
        (0, i16::MAX) => quote!(true),
        (first, i16::MAX) => quote!(dialect.version >= #first),
        (0, last) => quote!(dialect.version <= #last),
        (first, last) => quote!(dialect.within(#first, #last)),
    }
}

fn dialect(field: &Field) -> TokenStream {
    if field.inflexible {
        quote!(dialect.inflexible())
    } else {
        quote!(dialect)
    }
}

fn path(schema: &Schema, field: &Field) -> String {
    format!("{}.{}", schema.name, field.name)
}

fn message(schema: &Schema) -> TokenStream {
    let Some(message) = &schema.message else {
        return TokenStream::new();
    };
    let name = &schema.name;
    let text = name.to_string();
    let (impls, types, wheres) = schema.generics.split_for_impl();
    let Versions { first, last } = message.versions;
    let flexible = message.flexible;
    let role = match (&message.api, &message.response) {
        (Some(api), Some(response)) => quote! {
            impl #impls highwater_wire::Request for #name #types #wheres {
                const API: highwater_wire::ApiKey = highwater_wire::ApiKey::#api;
                type Response<'r> = #response;
            }
        },
        (Some(api), None) => quote! {
            impl #impls highwater_wire::Response for #name #types #wheres {
                const API: highwater_wire::ApiKey = highwater_wire::ApiKey::#api;
            }
        },
        (None, _) => TokenStream::new(),
    };
    quote! {
        impl #impls highwater_wire::Message for #name #types #wheres {
            const NAME: &'static str = #text;
            const VERSIONS: ::core::ops::RangeInclusive<i16> = #first..=#last;
            const FLEXIBLE: i16 = #flexible;
        }
        #role
    }
}
