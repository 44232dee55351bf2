import com.google.re2j.*;
import java.util.*;

/** Has RE2/J say which patterns it reads, and what they match. See README.md. */
public class Patterns {
    public static void main(String[] args) {
        String[] names = {"a", "b", "ab", "aa", "aaa", "abc", "foo", "foo-1", "foo.bar", "foo_bar", "Foo", "FOO", "bar", "orders",
            "orders.eu", "orders-eu-1", "payments", "__consumer_offsets", "1", "12", "123", "a-b", "a.b", "x", "z9", "E", "Q", "d", "w", "k"};
        String[] patterns = {
            "", "a", "a*", "a+", "a?", "a|b", "a|ab", "ab|a", "(a|ab)(c|bcd)?", ".*", ".+", "foo.*", "foo\\..*", "foo[.-].*", "^foo$", "^a|b$", "(?i)foo", "(?i:f)oo", "(?-i)foo",
            "(?i)FOO|BAR", "(?s).*", "(?m)^a$", "(?U)a+", "(?x)a b", "(?u)a", "(?R)a", "(?i", "(?", "(?P<n>a)b", "(?<n>a)b", "(?P=n)", "(?P>a)", "(?=a)", "(?!a)", "(?<=a)b", "(?:a)b", "(?is-m:A)",
            "a{2}", "a{2,}", "a{,2}", "a{1,3}", "a{3,1}", "a{1000}", "a{1001}", "a{", "a{}", "a{x}", "a{1", "a{1,", "{", "{1}", "}", "a}", "a{2}{3}", "a{2}?", "a{2}*", "(a{2})*", "a{1}{1}",
            "a**", "a*+", "a*?", "a+?", "a??", "a*??", "a???", "a*?*", "*", "+a", "?", "(*)", "(a*)*", "(a*)+", "(?:a*)*", "|*", "a|*", "^*", "$*", "\\b*", "\\ba\\b", "\\Ba",
            "(", ")", "(a", "a)", "()", "(())", "a()b", "(a)(b)", "((a)", "(a))", "a)(b", "a|", "|a", "|", "||",
            "[a]", "[^a]", "[]", "[]a]", "[^]a]", "[a", "[a-z]+", "[z-a]", "[a-]", "[-a]", "[a-b-c]", "[a-z-9]+", "[--9]+", "[+--]b", "[a\\-b]+", "[.]", "a[.-]b", "a[-.]b", "[[a]", "[a[b]+", "[[]", "[a&&b]+", "[a&b]", "[a~~b]+", "[a--b]+", "[\\w]+", "[\\w.-]+",
            "[\\d]+", "[^\\d]+", "[\\D]+", "\\d+", "\\D+", "\\w+", "\\W", "\\s", "\\S+", "[[:alpha:]]+", "[[:digit:]]+", "[^[:digit:]]+", "[[:^digit:]]+", "[[:word:]]+", "[[:foo:]]", "[:alpha:]", "[:a]", "[[:alpha]+", "[[:alpha:][:digit:]]+", "[[:upper:]]+", "[[:lower:]]+", "[[:punct:]]", "[[:xdigit:]]+",
            "\\pL+", "\\p{L}+", "\\p{Lu}+", "\\PL+", "\\p{Greek}", "\\p{Foo}", "\\p", "\\pN+", "\\p{^L}+", "[\\pL\\pN]+", "[^\\pL]+",
            "\\Qfoo.bar\\E", "\\Qfoo", "\\Qa\\Eb", "\\Q\\E", "\\Q.*\\E", "\\Qa*\\E*", "a\\E", "\\E", "\\Qa-b\\E", "\\Q[a\\E", "[\\Qa\\E]",
            "\\.", "foo\\.bar", "a\\-b", "\\_", "foo\\_bar", "\\<a", "\\>a", "a\\/b", "\\ ", "\\!", "\\@", "\\%", "\\'", "\\\"", "\\#", "\\&", "\\~", "\\`", "\\,", "\\:", "\\;", "\\=",
            "\\a", "\\f", "\\t", "\\n", "\\r", "\\v", "\\z", "a\\z", "\\Aa", "a\\Z", "\\Z", "\\G", "\\C", "\\e", "\\h", "\\K", "\\X", "\\R", "\\y", "\\i", "\\q", "\\x", "\\x6", "\\x61", "\\x{61}", "\\x{", "\\x{110000}", "\\u0061", "\\U00000061", "\\u{61}", "\\0", "\\01", "\\141", "\\1", "\\8", "\\9", "\\61", "\\12", "(a)\\1", "\\07",
            "\\", "a\\", "[\\", "[a\\", "[\\]]", "[\\^a]", "[a\\]", "[\\b]", "[\\B]", "[\\A]", "[\\z]", "[\\1]", "[\\141]", "[\\x61]", "[a-\\x63]+", "[\\x61-c]+", "[\\d-z]+", "[a-\\d]+", "[!--]",
            "orders(\\.|-).*", "orders.*|payments", "(?i)ORDERS[.].+", "__.*", "[^_].*", "(foo|bar)[-._]?\\w*", "\\b{2}a", "\\b{start}a", "a$b", "a^b", "$", "^", "^$", "a\\b", "(?i)K", "(?i)\u017f", "\u00e9", "[\u00e9a]", "#", " a", "a b", "a#b", "(?i)[a-f]+", "(?i)[^a-f]+", "(?i)\\Qfoo\\E", "(?P<a>b)(?P<a>c)", "(?P<1a>b)", "(?P<>b)", "(a{500}){3}", "((a{10}){10}){10}", "((a{10}){10}){11}", "(a{0,5}){0,200}", ".{0,1000}", "a{0}", "a{0,0}", "(){1000}", "(?:){5}a", "[a-c]{2}", "\\d{3}", "(ab){1,2}c?", "x{0,}", "a{01}", "a{1,02}", "a{ 1}", "a{1 }", "a{-1}", "a{99999999999}", "a{1,99999999999}"
        };
        System.out.println(String.join(" ", names));
        for (String pattern : patterns) {
            StringBuilder verdict = new StringBuilder();
            try {
                Pattern compiled = Pattern.compile(pattern);
                for (String name : names) verdict.append(compiled.matcher(name).matches() ? '1' : '0');
            } catch (PatternSyntaxException ex) {
                verdict.append("invalid");
            }
            System.out.println(verdict + "\t" + pattern);
        }
    }
}
