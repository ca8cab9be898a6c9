// Package subjects is the contract between publisher and edge: how an event,
// an access record or a control message is named on NATS, which headers it
// carries and what its payload holds. It is the only package both sides share
// and depends on nothing but the standard library.
//
//	subject                          payload   who sees it
//	booking.<id>.status              any JSON  sessions in room booking.<id>
//	booking.<id>.<type>              any JSON  the same room
//	booking.<id>.access              Access    edges only
//	user.<id>.notification           any JSON  sessions of that user
//	user.<id>.booking.<bookingId>    Index     edges only
//	user.<id>.control                Control   edges only
//	fabric.epoch                     Epoch     edges only
//	fabric.position                  -         the publisher
//	ingest.<subject>                 as above  the publisher, from services that publish themselves
//
// "booking" stands for any entity kind the operator configures (Kinds). Ids
// and types are single subject tokens (CheckID); nothing is ever rewritten to
// make it fit, it is refused.
package subjects
