use super::*;

#[rstest]
#[case::unused_address(json!({ "channel_exist": false }), Hosts::NoChannel)]
#[case::live(json!({ "channel_exist": true, "mode": 2, "broadcasters": [12345, 7] }), Hosts::Uids(vec![12345, 7]))]
#[case::audience_only(json!({ "channel_exist": true, "mode": 2, "broadcasters": [] }), Hosts::Uids(vec![]))]
#[case::entries_that_are_no_uid(json!({ "channel_exist": true, "broadcasters": ["alice", -1, null, 12345, {}, 4294967296_u64, 1.5, "7", 9.0] }), Hosts::Uids(vec![12345, 7, 9]))]
#[case::only_such_entries(json!({ "channel_exist": true, "broadcasters": ["alice", -1, null, {}] }), Hosts::Uids(vec![]))]
#[case::objects_with_a_uid(json!({ "channel_exist": true, "broadcasters": [{ "uid": 12345 }, { "uid": "7", "role": 1 }, { "uid": "alice" }] }), Hosts::Uids(vec![12345, 7]))]
#[case::no_broadcasters_but_users(json!({ "channel_exist": true, "broadcasters": null, "users": [1] }), Hosts::Uids(vec![1]))]
#[case::neither(json!({ "channel_exist": true, "broadcasters": null, "users": null }), Hosts::Uids(vec![]))]
#[case::an_object_that_may_be_anybody(json!({ "channel_exist": true, "broadcasters": [5, { "name": 12345 }] }), Hosts::Partly(vec![5]))]
#[case::a_list_that_may_be_anybody(json!({ "channel_exist": true, "broadcasters": [[12345], 5] }), Hosts::Partly(vec![5]))]
#[case::communication(json!({ "channel_exist": true, "mode": 1, "total": 1, "users": [9] }), Hosts::Uids(vec![9]))]
#[tokio::test]
async fn the_hosts_of_a_channel_are_read_in_both_profiles(
    #[case] data: Value,
    #[case] expected: Hosts,
) {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path(
            "/dev/v1/channel/user/app/a%2Fb%20%3C%26%3F/hosts_only",
        ))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(json!({ "success": true, "data": data })),
        )
        .expect(1)
        .mount(&server)
        .await;
    let hosts = agora(&server).channel().hosts(permit(), "a/b <&?").await;
    assert_eq!(hosts.unwrap(), expected);
}

#[rstest]
#[case(json!({ "success": true, "data": { "channel_exist": true, "mode": 2 } }))]
#[case(json!({ "success": true, "data": { "channel_exist": true, "broadcasters": "12345" } }))]
#[case(json!({ "success": false, "data": { "channel_exist": false } }))]
#[case(json!({}))]
#[tokio::test]
async fn an_answer_without_hosts_does_not_show_an_absent_seller(#[case] body: Value) {
    let server = always(200, body).await;
    let error = agora(&server)
        .channel()
        .hosts(permit(), "c")
        .await
        .unwrap_err();
    assert_eq!(error.class, Class::Unexpected);
}

#[rstest]
#[case::here(".")]
#[case::above("..")]
#[case::nothing("")]
#[tokio::test]
async fn a_channel_name_that_would_change_the_endpoint_is_not_sent(#[case] name: &str) {
    let server = MockServer::start().await;
    let hosts = agora(&server).channel().hosts(permit(), name).await;
    assert_eq!(hosts.unwrap_err().class, Class::Rejected);
    assert!(server.received_requests().await.unwrap().is_empty());
}
