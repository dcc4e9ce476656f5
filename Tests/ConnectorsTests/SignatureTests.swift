import Foundation
import Testing

@testable import Connectors

/// Digests here were computed by another program, over these very bytes.
@Suite struct SignatureTests {
    private static let escaped =
        #"{"object":"whatsapp_business_account","entry":[{"id":"300100200100","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"441632960000","phone_number_id":"300100200101"},"contacts":[{"profile":{"name":"Zo\u00eb \u00c5berg"},"wa_id":"4930901820"}],"messages":[{"from":"4930901820","id":"wamid.IN-1","timestamp":"1763805600","type":"text","text":{"body":"Gr\u00fc\u00dfe \ud83d\udc4b \/ ok?"}}]},"field":"messages"}]}]}"#
    private static let plain =
        #"{"object":"whatsapp_business_account","entry":[{"id":"300100200100","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"441632960000","phone_number_id":"300100200101"},"contacts":[{"profile":{"name":"Zoë Åberg"},"wa_id":"4930901820"}],"messages":[{"from":"4930901820","id":"wamid.IN-1","timestamp":"1763805600","type":"text","text":{"body":"Grüße 👋 / ok?"}}]},"field":"messages"}]}]}"#
    private static let x = #"{"for_user_id":"5550000001","direct_message_events":[]}"#
    private static let linkedIn = #"{"type":"ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS","notifications":[]}"#

    @Test(arguments: [
        ("whatsapp", escaped, "sha256=32338138079ba42dc4394ab8cb3f77acf2ced89c7f007ac53f4178bcd719fce8", true),
        ("whatsapp", plain, "sha256=bfa16fbe14771837ac41337370ec51cb75455282d87d70cc9400df2ad914e2ec", true),
        // The same JSON in other bytes, another word, no scheme, half a digest.
        ("whatsapp", plain, "sha256=32338138079ba42dc4394ab8cb3f77acf2ced89c7f007ac53f4178bcd719fce8", false),
        ("whatsapp", escaped + " ", "sha256=32338138079ba42dc4394ab8cb3f77acf2ced89c7f007ac53f4178bcd719fce8", false),
        ("whatsapp", escaped, "32338138079ba42dc4394ab8cb3f77acf2ced89c7f007ac53f4178bcd719fce8", false),
        ("whatsapp", escaped, "sha256=32338138079ba42dc4394ab8cb3f77ac", false),
        ("whatsapp", escaped, "", false),
        ("twitter", x, "sha256=q/l7wcukPageBTXwF15gu0XhPpx7EifRMxbgcL7DUy4=", true),
        ("twitter", x, "sha256=abf97bc1cba43da81e0535f0175e60bb45e13e9c7b1227d13316e070bec3532e", false),
        ("twitter", x, "q/l7wcukPageBTXwF15gu0XhPpx7EifRMxbgcL7DUy4=", false),
        ("linkedin", linkedIn, "376819b54e41f2b3a7ea8490cbf346cd9c162787f082922f7c272fdaae9048b1", true),
        ("linkedin", linkedIn, "hmacsha256=376819b54e41f2b3a7ea8490cbf346cd9c162787f082922f7c272fdaae9048b1", true),
        // Over the body alone.
        ("linkedin", linkedIn, "3bfdf3f4c4169320da8cce70b18237f2b84d3f717c8e7cb5034d65dcb82d57aa", false),
    ])
    func isCheckedOverTheBytesAsTheyCame(_ kind: String, _ body: String, _ value: String, _ isGood: Bool) {
        let names = ["twitter": "x-twitter-webhooks-signature", "linkedin": "x-li-signature"]
        let headers = [(name: names[kind] ?? "x-hub-signature-256", value: value)]
        let webhook = Webhook(headers: headers, body: Array(body.utf8))

        let events = Result { try Connectors.connector(for: kind).events(in: webhook, for: .test(kind)) }

        switch events {
        case .success: #expect(isGood)
        case .failure(let error): #expect(!isGood && error as? WebhookFault == .badSignature)
        }
    }

    @Test(arguments: ["whatsapp", "facebook", "instagram"])
    func aChallengeComesBackToWhoeverKnowsTheToken(_ kind: String) throws {
        func ask(_ mode: String?, _ token: String?) throws -> HandshakeAnswer? {
            var query = [(name: "hub.challenge", value: "1158201444")]
            if let mode { query.append((name: "hub.mode", value: mode)) }
            if let token { query.append((name: "hub.verify_token", value: token)) }
            return try Connectors.connector(for: kind).handshake(query, for: .test(kind))
        }

        #expect(try ask("subscribe", "a verify token") == .text("1158201444"))
        #expect(try ask("subscribe", "a verify toke") == nil)
        #expect(try ask("subscribe", "") == nil)
        #expect(try ask("subscribe", nil) == nil)
        #expect(try ask("unsubscribe", "a verify token") == nil)
        #expect(try ask(nil, "a verify token") == nil)
    }

    @Test func xAndLinkedInAreAnsweredWithADigestOfTheirQuestion() throws {
        let x = Connectors.connector(for: "twitter")
        let linkedIn = Connectors.connector(for: "linkedin")
        let code = "890e4665-0000-4ab1-b689-ed553bceeed0"

        #expect(
            try x.handshake([(name: "crc_token", value: "a crc token")], for: .test("twitter"))
                == HandshakeAnswer(
                    contentType: "application/json",
                    body: #"{"response_token":"sha256=p9NxmH0yoz8NM7zSfzk1bke8IugpanLYd3Z6Uf78XGc="}"#
                )
        )
        #expect(
            try linkedIn.handshake([(name: "challengeCode", value: code)], for: .test("linkedin"))
                == HandshakeAnswer(
                    contentType: "application/json",
                    body: #"{"challengeCode":"\#(code)","challengeResponse":"#
                        + #""4c5c7506bbbb19857d9821892ae50f26f7fe6a6a0d3d725666190b5714a2ff6c"}"#
                )
        )
        #expect(throws: WebhookFault.badHandshake("has no crc_token")) { try x.handshake([], for: .test("twitter")) }
        #expect(throws: WebhookFault.badHandshake("has no challengeCode")) {
            try linkedIn.handshake([], for: .test("linkedin"))
        }
    }
}
