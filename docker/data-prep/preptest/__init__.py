"""What tests of the data-prep stages share: mails to upload and a way to run a stage."""
