{
  const link = document.querySelector("a.button");
  location.replace(link.href + encodeURIComponent(location.hash));
}
