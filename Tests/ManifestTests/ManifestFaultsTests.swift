import Testing

@testable import Manifest

@Suite struct ManifestFaultsTests {
    @Test func tellsEveryFaultAtOnceWithItsPlace() {
        let text = """
            version: 2
            name: delightchat
            colour: blue
            variables:
              DATABASE_URL: { secret: true }
              PORT: { type: int, default: many }
            defaults:
              http: { access: member }
              params: { orgId: uuid }
            queues: { inbound: , campaigns: }
            functions:
              assign-ticket:
                handler: Tickets/AssignTickets
                http: POST /orgs/:orgID/tickets
                acess: admin
              list-tickets:
                handler: Tickets/ListTickets
                http: GTE /orgs/:orgId/tickets
                timeout: 10
              list-tickets:
                handler: Tickets/ListTickets
                http: GET /orgs/:orgId/tickets/
              show-tickets:
                handler: Tickets/ShowTickets
                http: GET /orgs/:orgId/list
                access: boss
              find-tickets:
                handler: Tickets/FindTickets
                http: GET /orgs/:orgId/list
                uses: [DATABASE_URL, DATABSE_URL]
                concurrency: 0
              send-campaign:
                handler: Campaigns/SendCampaign
                queue: campaign
                backoff: exponential 2 max 10m
              roll-up:
                handler: Analytics/RollUp
                schedule: "*/15 * 32 * *"
                queue: inbound
              Tidy_Up:
                handler: tidy
                schedule: "@daily"
                timeout: none
                group: sheduler
            """

        let faults = faults(of: text)

        #expect(
            faults.map { "\($0.line):\($0.column) \($0.message); \($0.hint ?? "")" } == [
                #"1:10 unknown version "2"; this runner reads version 1"#,
                #"3:1 unknown key "colour" in the file; known are defaults, functions, groups, name, queues, variables, version"#,
                #"6:31 the default of "PORT" is not a whole number ("many"); "#,
                #"13:22 the handler of "assign-ticket" must be the type AssignTicket, not AssignTickets; "#,
                #"14:22 undeclared parameter ":orgID"; did you mean "orgId"?"#,
                #"15:5 unknown key "acess" in the function "assign-ticket"; did you mean "access"?"#,
                #"18:11 unknown method "GTE"; did you mean "GET"?"#,
                #"19:14 timeout must be a duration above zero such as 250ms, 10s, 5m, 2h or 30d, or none, not "10"; "#,
                #"20:3 the function "list-tickets" is here twice; the first is on line 16; "#,
                #"22:36 the path has an empty segment; take out the doubled or last slash"#,
                #"26:13 access must be one of public, member, admin, not "boss"; "#,
                #"29:11 GET /orgs/:orgId/list is the same route as that of "show-tickets"; "#,
                #"30:26 unknown variable "DATABSE_URL"; did you mean "DATABASE_URL"?"#,
                #"31:18 concurrency must be a whole number from 1 to 10000, not "0"; "#,
                #"34:12 unknown queue "campaign"; did you mean "campaigns"?"#,
                #"35:14 backoff must be such as "exponential 2s max 10m", "fixed 5s" or none, not "exponential 2 max 10m"; "#,
                #"38:23 "32" is not a day of month from 1 to 31; "#,
                #"39:5 "roll-up" has a second trigger; make it two functions"#,
                #"40:3 the function's name "Tidy_Up" must be lower-case words joined by "-", at most 63 characters; did you mean "tidy-up"?"#,
                #"41:14 handler must be a folder and a type such as Tickets/TidyUp, not "tidy"; "#,
                #"43:14 the function "Tidy_Up" has no timeout and no idle_timeout; give it an idle_timeout such as 1m"#,
                #"44:12 unknown group "sheduler"; did you mean "scheduler"?"#,
            ]
        )
    }

    @Test func showsTheLineAndACaret() {
        let faults = faults(of: Sample.text.replacing("queue: inbound", with: "queue: inbond"))

        #expect(
            faults.map(\.description) == [
                """
                functions.yaml:40:12: error: unknown queue "inbond"; did you mean "inbound"?
                    queue: inbond
                           ^
                """
            ]
        )
    }

    @Test func keepsTheCaretInPlaceBehindTabsAndWideCharacters() {
        let fault = Fault(
            file: "f",
            position: SourcePosition(line: 1, column: 4),
            message: "m",
            hint: nil,
            source: "é\tx y"
        )

        #expect(fault.description == "f:1:4: error: m\né\tx y\n \t ^")
    }

    /// Text, and the faults' places and messages.
    static let single: [(String, String)] = [
        ("", "1:1 the file is empty"),
        ("# nothing\n", "1:1 the file is empty"),
        ("just words", "1:1 the file must be a mapping of keys to values"),
        ("version: 1\nname: x\nfunctions: [a]", "3:12 functions must be a mapping of keys to values"),
        (
            "version: 1\nname: x\nfunctions: {",
            "3:13 did not find expected node content while parsing a flow node (line 4)"
        ),
        (
            "version: 1\n\tname: x\n",
            "2:1 found a tab character that violates indentation while scanning a plain scalar (line 1)"
        ),
        ("version: 1\nname: x\nfunctions: *f", "3:12 found undefined alias"),
        (
            "version: 1\nname: X\nfunctions:",
            #"2:7 the name "X" must be 1 to 63 lower-case letters, digits and inner hyphens"#
        ),
        (
            "version: 1\nversion: 1\nname: x\nfunctions:",
            #"2:1 the key "version" is here twice; the first is on line 1"#
        ),
        (
            "version: 1\nname: x\nfunctions:\n---\nversion: 1",
            "4:1 but found another document expected a single document in the stream (line 1)"
        ),
    ]

    @Test(arguments: single) func explainsFilesThatAreNone(text: String, expected: String) {
        #expect(faults(of: text).map { "\($0.line):\($0.column) \($0.message)" } == [expected])
    }

    @Test func findsEveryRepeatedKeyWhereverItIs() {
        let text = """
            version: 1
            name: x
            variables: { A: { secret: true, secret: false }, B: , "A": }
            functions:
              a-b: { handler: F/AB, queue: one, queue: two, queue: three }
            """

        #expect(
            faults(of: text).map { "\($0.line):\($0.column) \($0.message)" } == [
                #"3:33 the key "secret" is here twice; the first is on line 3"#,
                #"3:55 the key "A" is here twice; the first is on line 3"#,
                #"5:37 the key "queue" is here twice; the first is on line 5"#,
                #"5:49 the key "queue" is here twice; the first is on line 5"#,
            ]
        )
    }

    /// A function's lines, and what is said of them.
    static let functionFaults: [(String, String)] = [
        ("http: GET orgs", #"the path "orgs" must begin with a slash"#),
        ("http: GET", #"http must be a method and a path such as GET /orgs/:orgId, not "GET""#),
        ("http: get /x", #"unknown method "get""#),
        ("http: OPTIONS /x", #"unknown method "OPTIONS""#),
        ("http: GET /a//b", "the path has an empty segment"),
        ("http: GET /a/{id}", #"the path segment "{id}" has a character that it can't"#),
        ("http: GET /:id/:id", #"the parameter ":id" is in the path twice"#),
        ("http: GET /:1d", #"the parameter ":1d" must be ":", a letter, then letters and digits"#),
        ("http: GET /x\n    params: { y: uuid }", #"the path has no parameter ":y""#),
        (
            "http: GET /:y\n    params: { y: guid }",
            #"a parameter's type must be one of uuid, integer, string, not "guid""#
        ),
        (
            "http: GET /x\n    body_limit: 1MB",
            #"body_limit must be a size such as 512B, 64KiB, 4MiB or 1GiB, not "1MB""#
        ),
        ("http: GET /x\n    body_limit: { csv: 1MiB }", #""csv" is neither a content type nor "default""#),
        ("http: GET /x\n    batch: 5", #""batch" means nothing for a function with the trigger http"#),
        ("queue: a:b", #"the queue's name "a:b" must be letters, digits, "-", "_" and ".""#),
        ("queue: a\n    access: admin", #""access" means nothing for a function with the trigger queue"#),
        ("queue: a\n    batch: 0", #"batch must be a whole number from 1 to 10000, not "0""#),
        ("queue: a\n    attempts: -1", #"attempts must be a whole number from 1 to 1000, not "-1""#),
        ("queue: a\n    attempts: []", "attempts must be a single value"),
        (
            "queue: a\n    backoff: fixed",
            #"backoff must be such as "exponential 2s max 10m", "fixed 5s" or none, not "fixed""#
        ),
        ("queue: a\n    uses: [DATABASE_URL, DATABASE_URL]", #""DATABASE_URL" is in uses twice"#),
        (
            "queue: a\n    idle_timeout: none",
            #"idle_timeout must be a duration above zero such as 250ms, 10s, 5m, 2h or 30d, not "none""#
        ),
        ("queue: inbound", #"the queue "inbound" is worked by "receive-message" already"#),
        ("schedule: daily", "a schedule has 5 fields, or 6 with seconds, and this one 1"),
        ("schedule: '@dayly'", #"unknown shorthand "@dayly""#),
        ("schedule: 0 0 30 2 *", "no such day ever comes"),
        ("schedule: 0 0 * * *\n    timezone: Europe/Berln", #"unknown time zone "Europe/Berln""#),
        ("doc: nothing", #""do-it" has no trigger"#),
    ]

    @Test(arguments: functionFaults) func explainsWhatIsWrongWithAFunction(lines: String, message: String) {
        let text =
            Sample.text.replacing("queues:\n  inbound:  { doc: messages from the channels }\n  outbound:\n", with: "")
            + "  do-it:\n    handler: Things/DoIt\n    \(lines)\n"

        #expect(faults(of: text).map(\.message) == [message])
    }

    static let otherFaults: [(String, String, String)] = [
        (
            "LOG_LEVEL:    { default: info", "LOG_LEVEL:    { default: inf",
            #"the default of "LOG_LEVEL" is not one of trace, debug, info, notice, warning, error ("inf"); did you mean "info"?"#
        ),
        (
            "JWT_SECRET:   { secret: true", "JWT_SECRET:   { default: x, secret: true",
            #"the secret "JWT_SECRET" must not have a default in this file"#
        ),
        (
            "JWT_SECRET:   { secret: true", "JWT_SECRET:   { type: enum, secret: true",
            #"the enum "JWT_SECRET" needs its values: enum: [...]"#
        ),
        ("JWT_SECRET:   { secret: true", "JWT_SECRET:   { secret: yes", #"secret must be true or false, not "yes""#),
        (
            "JWT_SECRET:   { secret: true", "JWT_SECRET:   { min: 1, secret: true",
            #""JWT_SECRET" has a min but isn't of type int"#
        ),
        ("JWT_SECRET: ", "jwt_secret: ", "a variable's name must be upper-case letters, digits and underscores"),
        (
            "2..20", "20..2",
            #"scale must be two whole numbers such as 2..20, the second at least 1 and the first, not "20..2""#
        ),
        (
            "  workers:   { scale: 0..30 }\n", "",
            #"the function "receive-message" belongs to the group "workers", which isn't declared"#
        ),
        ("access: member, ", "", #"the function "import-recipients" has no access"#),
        ("attempts: 5", "attempts: many", #"attempts must be a whole number from 1 to 1000, not "many""#),
        ("http:  { access", "http:  { batch: 1, access", #"unknown key "batch" in defaults.http"#),
        ("version: 1\n", "", "the file has no version"),
        ("name: delightchat\n", "", "the file has no name"),
        ("handler: Tickets/AssignTicket", "doc: no handler", #""assign-ticket" has no handler"#),
        ("  assign-ticket:", "  assign:", #"the function's name "assign" must be a verb and a noun"#),
    ]

    @Test(arguments: otherFaults) func explainsWhatIsWrongElsewhere(part: String, replacement: String, message: String)
    {
        #expect(faults(of: Sample.text.replacing(part, with: replacement)).first?.message == message)
    }

    private func faults(of text: String) -> [Fault] {
        do {
            _ = try Manifest.parse(text)
            return []
        } catch {
            return error.faults
        }
    }
}
