import Testing

@testable import Manifest

@Suite struct SettingsTests {
    private static let secret = "hunter2-hunter2"
    private let variables: [Variable]

    init() throws {
        variables = try Manifest.parse(
            """
            version: 1
            name: settings
            variables:
              DATABASE_URL:  { type: url, secret: true, doc: where PostgreSQL is }
              JWT_SECRET:    { secret: true, min_length: 32 }
              LOG_LEVEL:     { default: info, enum: [debug, info, error] }
              PORT:          { type: int, default: 3000, min: 1, max: 65535 }
              CORS_ORIGINS:  { required: false }
              VERBOSE:       { type: bool, default: false }
              REFRESH_GRACE: { type: duration, default: 0s }
              UPLOAD_LIMIT:  { type: size, default: 4MiB }
              REGION:        { default: "eu west # 1" }
            functions:
            """
        ).variables
    }

    @Test func takesValuesAndDefaults() throws {
        let settings = try Settings.resolve(
            variables,
            environment: [
                "DATABASE_URL": "postgres://localhost/x", "JWT_SECRET": String(repeating: "s", count: 32), "PORT": "80",
                "VERBOSE": "YES", "LOG_LEVEL": "", "HOME": "/root",
            ]
        )

        #expect(settings["DATABASE_URL"] == "postgres://localhost/x")
        #expect(settings["LOG_LEVEL"] == "info")
        #expect(settings.int("PORT") == 80)
        #expect(settings.bool("VERBOSE") == true)
        #expect(settings.duration("REFRESH_GRACE") == .zero)
        #expect(settings.size("UPLOAD_LIMIT") == 4 << 20)
        #expect(settings["CORS_ORIGINS"] == nil)
        #expect(settings["HOME"] == nil)
    }

    @Test func tellsEveryFaultAndNoSecret() {
        let error = #expect(throws: SettingsFaults.self) {
            try Settings.resolve(
                variables,
                environment: [
                    "DATABASE_URL": Self.secret, "JWT_SECRET": Self.secret, "LOG_LEVEL": "inf", "PORT": "70000",
                    "VERBOSE": "maybe", "REFRESH_GRACE": "5", "UPLOAD_LIMIT": "4MB",
                ]
            )
        }

        #expect(
            error?.description == """
                error: DATABASE_URL is not a URL with a scheme — where PostgreSQL is
                error: JWT_SECRET is shorter than 32 characters
                error: LOG_LEVEL is not one of debug, info, error ("inf"); did you mean "info"?
                error: PORT is more than 65535 ("70000")
                error: VERBOSE is neither true nor false ("maybe")
                error: REFRESH_GRACE is not a duration such as 250ms, 10s, 5m, 2h or 30d ("5")
                error: UPLOAD_LIMIT is not a size such as 512B, 64KiB, 4MiB or 1GiB ("4MB")
                """
        )
    }

    @Test func tellsWhatIsMissing() {
        let error = #expect(throws: SettingsFaults.self) { try Settings.resolve(variables, environment: [:]) }

        #expect(
            error?.faults.map { "\($0.name) \($0.message)" } == ["DATABASE_URL is not set", "JWT_SECRET is not set"]
        )
    }

    @Test func givesAFunctionOnlyWhatItUses() throws {
        let all = try Settings.resolve(variables, environment: environment)

        let some = all.subset(uses: ["PORT", "LOG_LEVEL"])

        #expect(some.environment == ["PORT": "3000", "LOG_LEVEL": "info"])
        #expect(some["JWT_SECRET"] == nil)
    }

    @Test func neverShowsSecrets() throws {
        let settings = try Settings.resolve(variables, environment: environment)
        var dumped = ""
        dump(["settings": settings], to: &dumped)

        for text in ["\(settings)", String(reflecting: settings), "\([settings])", dumped] {
            #expect(!text.contains("ssss") && !text.contains("localhost"))
        }
        #expect("\(settings)".contains("DATABASE_URL=••••"))
        #expect("\(settings)".contains("PORT=3000"))
    }

    @Test func readsItsOwnExample() throws {
        let example = EnvironmentFile.example(variables)

        #expect(try EnvironmentFile.parse(example) == ["DATABASE_URL": "", "JWT_SECRET": ""])
        #expect(
            example.hasPrefix(
                """
                # Copy to .env and fill in. What is commented out shows its default or may stay unset.

                # where PostgreSQL is
                # required, URL, secret
                DATABASE_URL=

                # required, at least 32 characters, secret
                JWT_SECRET=

                # optional, one of debug | info | error
                #LOG_LEVEL=info

                # optional, whole number, at least 1, at most 65535
                #PORT=3000

                """
            )
        )
        #expect(example.contains("#REGION=\"eu west # 1\"\n"))
    }

    private var environment: [String: String] {
        ["DATABASE_URL": "postgres://localhost/x", "JWT_SECRET": String(repeating: "s", count: 32)]
    }
}

@Suite struct EnvironmentFileTests {
    @Test func readsEveryForm() throws {
        let values = try EnvironmentFile.parse(
            """
            \u{feff}# a comment
            PLAIN=value
              export EXPORTED = spaced out   # and a comment
            EMPTY=
            HASH=a#b
            SINGLE='a "b" $HOME \\n # c'
            DOUBLE="a \\"b\\" \\$HOME\\n\\t\\\\ # c" # comment
            DOLLAR=$HOME/${X}
            LINES="one
            two"
            URL=postgres://u:p@h/d?x=y&z=1
            PLAIN=later
            _X1=1\r
            LAST=end
            """
        )

        #expect(
            values == [
                "PLAIN": "later", "EXPORTED": "spaced out", "EMPTY": "", "HASH": "a#b",
                "SINGLE": #"a "b" $HOME \n # c"#,
                "DOUBLE": "a \"b\" $HOME\n\t\\ # c", "DOLLAR": "$HOME/${X}", "LINES": "one\ntwo",
                "URL": "postgres://u:p@h/d?x=y&z=1", "_X1": "1", "LAST": "end",
            ]
        )
    }

    @Test func tellsEveryLineItCannotReadWithoutItsValue() {
        let error = #expect(throws: EnvironmentFileFaults.self) {
            try EnvironmentFile.parse("A=1\nsecret words\n=x\nB='s3cret' more\nC=2\n9D=1\nE=\"never closed\n")
        }

        #expect(
            error?.faults == [
                ".env:2: error: secret has no \"=\" after it",
                ".env:3: error: a line must be NAME=value, a comment or blank",
                ".env:4: error: something follows the closing quote of B",
                ".env:6: error: a line must be NAME=value, a comment or blank",
                ".env:7: error: the quote of E is never closed",
            ]
        )
    }

    @Test(arguments: [
        "plain", "", "with space", "a\"b\\c$d'e", "one\ntwo\r\n\tthree", "#x", " padded ", "grüße 🔑", "${X}",
    ])
    func readsBackWhatItWrote(value: String) throws {
        #expect(try EnvironmentFile.parse(EnvironmentFile.line("NAME", value)) == ["NAME": value])
    }
}
