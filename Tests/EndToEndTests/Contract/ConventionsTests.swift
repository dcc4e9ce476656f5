import Foundation
import TestSupport
import Testing

@Suite struct ConventionsTests {
    // Ids and times

    @Test func idsAreVersion7InLowerCaseAndTakenInAnyCase() async throws {
        let acme = try await Contract.admin()
        let channel = try await acme.channel()
        let form = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/

        for id in [acme.id, acme.user, channel] { #expect(id.wholeMatch(of: form) != nil, "\(id)") }
        #expect(
            try await acme.api.get("/orgs/\(acme.id.uppercased())/channels/\(channel.uppercased())").string("id")
                == channel
        )
        #expect(try await acme.api.get(acme.path + "/channels/nope").problem == "404")
        #expect(try await acme.api.get("/orgs/nope").problem == "404")
        #expect(
            try await acme.api.post(acme.path + "/tickets", ["channelId": "nope", "contact": ["handle": "a"]]).problem
                == "422 /channelId"
        )
    }

    @Test func timesAreUTCWithMilliseconds() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticket(on: acme.channel())
        let form = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/

        for key in ["createdAt", "updatedAt", "lastMessageAt"] {
            #expect(ticket.string(key)?.wholeMatch(of: form) != nil, "\(key)")
        }
    }

    // JSON

    @Test(arguments: ["[]", #""x""#, "null", "1"])
    func aBodyThatIsNoObjectIs422(_ body: String) async throws {
        let acme = try await Contract.bystander()

        let answer = try await acme.api.send("POST", acme.path + "/channels", bytes: body)

        #expect(answer.problem == "422 ")
    }

    @Test(arguments: [
        "", "  ", "{", #"{"a":1}x"#, "{'a':1}", #"{"a":NaN}"#, #"{"a":1,}"#, #"{"a":01}"#, #"{"name":"\ud800"}"#,
        #"{"name":"\udc00"}"#, #"{"name":"\ud800\u0041"}"#, "{\"name\":\"a\nb\"}",
    ])
    func whatIsNoJSONIs400(_ body: String) async throws {
        let acme = try await Contract.bystander()

        #expect(try await acme.api.send("POST", acme.path + "/channels", bytes: body).problem == "400")
    }

    @Test func bytesThatAreNoUTF8Are400() async throws {
        let acme = try await Contract.admin()
        let bodies: [[UInt8]] = [[0xE9], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80]]

        for bytes in bodies {
            let body = Data(#"{"name":""#.utf8) + bytes + Data(#""}"#.utf8)
            let answer = try await acme.api.send("POST", acme.path + "/channels", body: body, headers: Contract.json)
            #expect(answer.problem == "400", "\(bytes)")
        }
    }

    @Test func allFaultsComeAtOnceEachByItsPointer() async throws {
        let acme = try await Contract.admin()
        let body: [String: Any] = [
            "channelId": 1, "contact": ["phone": "x", "email": "y"], "subject": String(repeating: "s", count: 301),
            "priority": "zzz", "tags": ["ok", ""], "message": [:] as [String: Any], "a/b~c": 1,
        ]

        let answer = try await acme.api.post(acme.path + "/tickets", body)

        #expect(
            answer.problem
                == "422 /a~1b~0c /channelId /contact/email /contact/phone /message/text /priority /subject /tags/1"
        )
        #expect(
            try await acme.api.get(acme.path + "/tickets?limit=0&status=zz&sort=foo&channelId=1").problem
                == "422 channelId limit sort status"
        )
    }

    @Test func aTypesOwnFaultsComeWithTheOthers() async throws {
        let acme = try await Contract.admin()
        let settings = ["quietHours": ["from": "99:00", "to": "08:00"]]

        #expect(
            try await acme.api.post(
                acme.path + "/channels",
                ["type": "linkedin", "credentials": ["clientId": "x", "foo": 1]]
            ).problem
                == "422 /credentials/accessToken /credentials/clientSecret /credentials/foo /credentials/organizationUrn /name"
        )
        #expect(
            try await acme.api.patch(acme.path, ["name": "", "settings": settings]).problem
                == "422 /name /settings/quietHours/from"
        )
        #expect(
            try await acme.api.post(
                acme.path + "/tickets",
                ["channelId": Contract.unknownId, "contactId": Contract.unknownId, "assigneeId": Contract.unknownId]
            ).problem == "422 /assigneeId /channelId /contactId"
        )
    }

    @Test func aFaultByItsMeaningComesWithThoseOfTheOthers() async throws {
        let acme = try await Contract.admin()
        let template: [String: Any] = ["name": "a", "language": "en", "components": [["text": "\u{0}"]]]
        let bodies: [(path: String, body: [String: Any], problem: String)] = [
            (
                "/api-keys", ["name": "", "role": "owner", "expiresAt": "2020-01-01T00:00:00Z"],
                "422 /expiresAt /name /role"
            ),
            ("/webhook-endpoints", ["url": "http://10.0.0.1/", "events": ["lunch"]], "422 /events/0 /url"),
            ("/webhook-endpoints", ["url": "ftp://10.0.0.1/", "events": ["lunch"]], "422 /events/0 /url"),
            (
                "/campaigns/\(Contract.unknownId)/start", ["scheduledAt": "2020-01-01T00:00:00Z", "x": 1],
                "422 /scheduledAt /x"
            ),
            (
                "/campaigns", ["name": "", "channelId": 1, "message": ["text": "Hi", "template": template]],
                "422 /channelId /message/template /message/template/components /name"
            ),
            (
                "/tickets", ["channelId": 1, "contact": [:] as [String: Any], "message": ["template": template]],
                "422 /channelId /contact /message/template/components"
            ),
            (
                "/tickets/\(Contract.unknownId)/messages", ["template": template, "note": true, "macroId": "x"],
                "422 /macroId /template /template/components"
            ),
        ]

        for (path, body, problem) in bodies {
            #expect(try await acme.api.post(acme.path + path, body).problem == problem)
        }
        #expect(
            try await acme.api.put(
                acme.path + "/webhook-endpoints/\(Contract.unknownId)",
                ["url": "http://user:pw@hooks.example.com/", "status": "asleep"]
            ).problem == "422 /status /url"
        )
        #expect(
            try await acme.api.get(acme.path + "/tickets?assigneeId=nobody&status=zz&limit=0").problem
                == "422 assigneeId limit status"
        )
        #expect(try await acme.api.get(acme.path + "/tickets?assigneeId=").problem == "422 assigneeId")
    }

    @Test func absentAndNullAreTheSameButInAChange() async throws {
        let acme = try await Contract.admin()
        let null: [String: Any] = ["type": "mock", "name": "n", "credentials": NSNull(), "settings": NSNull()]
        let ticket = try await acme.ticketPath(on: acme.channel(), ["subject": "s", "tags": ["a"]])

        #expect(try await acme.api.post(acme.path + "/channels", null).status == 201)
        #expect(try await acme.api.post(acme.path + "/channels", ["type": NSNull()]).problem == "422 /name /type")
        let kept = try await acme.api.put(ticket, ["priority": "high"])
        #expect(kept.string("subject") == "s")
        let cleared = try await acme.api.put(ticket, ["subject": NSNull(), "tags": NSNull()])
        #expect(cleared.object["subject"] is NSNull)
        #expect(cleared.object["tags"] as? [String] == [])
        #expect(try await acme.api.put(ticket, ["status": NSNull()]).problem == "422 /status")
    }

    @Test(arguments: [nil, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
    func anotherContentTypeIs415(_ type: String?) async throws {
        let acme = try await Contract.bystander()
        let headers = ["Content-Type": type ?? ""].filter { !$0.value.isEmpty }

        let answer = try await acme.api.send("POST", acme.path + "/channels", bytes: "{}", headers: headers)

        // Foundation's client adds a type of its own where none is given.
        #expect(answer.problem == "415")
    }

    @Test(arguments: ["application/json; charset=utf-8", "Application/JSON"])
    func aContentTypeMayHaveParametersAndAnyCase(_ type: String) async throws {
        let acme = try await Contract.bystander()
        let body = #"{"type": "mock", "name": "n"}"#

        let answer = try await acme.api.send(
            "POST",
            acme.path + "/channels",
            bytes: body,
            headers: ["Content-Type": type]
        )

        #expect(answer.status == 201)
    }

    @Test func anEndpointWithoutABodyIgnoresOneAndUnknownParameters() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel())

        let closed = try await acme.api.send(
            "POST",
            ticket + "/close?x=1",
            bytes: "{",
            headers: ["Content-Type": "text/plain"]
        )

        #expect(closed.status == 200)
        #expect(try await acme.api.get(acme.path + "/tickets?foo=bar").status == 200)
    }

    // Verbs

    @Test func aWrongVerbIs405AndOptionsTellTheRightOnes() async throws {
        let acme = try await Contract.admin()
        let api = try await Contract.host().api

        for (path, verbs) in [
            (acme.path + "/tickets", ["GET", "HEAD", "POST", "OPTIONS"]), ("/auth/login", ["POST", "OPTIONS"]),
            (acme.path, ["GET", "HEAD", "PATCH", "OPTIONS"]), ("/health", ["GET", "HEAD", "OPTIONS"]),
        ] {
            let options = try await api.send("OPTIONS", path)
            let wrong = try await api.delete(path)
            #expect(options.status == 204)
            #expect(options.allow == Set(verbs), "\(path)")
            #expect(wrong.problem == "405")
            #expect(wrong.allow == Set(verbs), "\(path)")
        }
        #expect(try await api.send("OPTIONS", "/no/such/path").problem == "404")
    }

    @Test func headAnswersAsGetWithoutABody() async throws {
        let acme = try await Contract.admin()

        for path in ["/auth/me", acme.path + "/tickets", "/health"] {
            let (get, head) = (try await acme.api.get(path), try await acme.api.send("HEAD", path))
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.headers["content-length"] == String(get.body.count), "\(path)")
            #expect(head.headers["content-type"] == get.headers["content-type"])
        }
        #expect(try await acme.api.with(token: nil).send("HEAD", "/auth/me").status == 401)
        #expect(try await acme.api.send("HEAD", "/auth/login").status == 405)
    }

    // Request ids

    @Test func aRequestIdIsEchoedIfItIsOne() async throws {
        let api = try await Contract.host().api
        let longest = String(repeating: "x", count: 128)

        for id in ["a", "abc.DEF_1-2", longest] {
            let answer = try await api.get("/no/such/path", headers: ["X-Request-Id": id])
            #expect(answer.headers["x-request-id"] == id)
            #expect(answer.problem == "404")
        }
        for id in ["a b", longest + "x", "a/b", "ä"] {
            let made = try await api.get("/health", headers: ["X-Request-Id": id]).headers["x-request-id"]
            #expect(made != id)
            #expect(made?.isEmpty == false)
        }
        #expect(try await api.post("/health").problem == "405")
    }

    // Text

    @Test func textIsCountedInScalarsAndStoredAsSent() async throws {
        let acme = try await Contract.admin()
        let emoji = String(repeating: "😀", count: 200)

        for name in [
            emoji, " a\tb\n ", "e\u{301}", "é", "שלום \u{200F}عالم", "👩🏽‍🚀🇩🇪", "\u{200B}x\u{FEFF}", "\u{10FFFD}\u{2028}",
        ] {
            let answer = try await acme.api.patch(acme.path, ["name": name])
            #expect(answer.string("name").map { Array($0.utf8) } == Array(name.utf8), "\(name)")
        }
        let wrong = [
            "", "   ", "\u{A0}\u{2003}\u{3000}", emoji + "x", String(repeating: "👨‍👩‍👧‍👦", count: 30), "a\0b", "a\rb",
            "a\u{1B}b",
            "a\u{7F}b", "a\u{85}b", "a\u{9F}b",
        ]
        for name in wrong {
            #expect(try await acme.api.patch(acme.path, ["name": name]).problem == "422 /name", "\(name)")
        }
    }

    @Test func composedAndDecomposedAreTwoTexts() async throws {
        let acme = try await Contract.admin()
        let ticket = try await acme.ticketPath(on: acme.channel(), ["subject": "é", "tags": ["é", "e\u{301}"]])

        let tags = try await acme.api.get(ticket).object["tags"] as? [String]
        let changed = try await acme.api.put(ticket, ["subject": "e\u{301}"])

        #expect(tags?.map { $0.unicodeScalars.count } == [1, 2])
        #expect(changed.string("subject")?.unicodeScalars.count == 2)
    }
}
