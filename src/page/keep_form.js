{
  const form = document.getElementById("kept");
  const fields = Array.from(form.elements, (field) => [field.name, field.value]);
  try {
    sessionStorage.setItem("vestibule-form", JSON.stringify({ at: Date.now(), to: form.getAttribute("action"), fields }));
  } catch {
    document.querySelector("h1 + p").textContent = "You are not signed in, and this browser cannot keep what you sent.";
  }
}
