import Functions

/// A person who writes in, known by any number of ids on any number of channels.
enum Contact {
    typealias ID = Identifier<Contact>
}
