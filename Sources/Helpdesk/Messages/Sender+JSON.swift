import Connectors
import Functions

extension Sender {
    var json: JSON {
        [
            "phone": .text(phone), "handle": .text(handle), "externalId": .text(externalId), "name": .text(name),
        ]
    }
}

extension ReceiveMessage.Payload.Person {
    var json: JSON {
        [
            "phone": .text(phone), "handle": .text(handle), "externalId": .text(externalId), "name": .text(name),
        ]
    }

    var isKnown: Bool { phone != nil || handle != nil || externalId != nil }
}
